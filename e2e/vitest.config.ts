/** What a test found is a list of sentences more often than not: a failure shows them, not how many there are. */
export default { test: { chaiConfig: { truncateThreshold: 800 } } };
