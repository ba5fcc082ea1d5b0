/** Archives of Calico's own images, built from this checkout. */
export async function calicoImages(_onProgress: (line: string) => void): Promise<string[]> {
  return [];
}
