/** Certificates: an authority, and what it signs. */
export { createAuthority, expiryOf, isSignedBy, openAuthority, type Authority, type CertificateRequest, type KeyPair } from "./authority.ts";
