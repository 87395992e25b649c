/** What nonces need from a store, so that several processes can stand behind one URL. */

/** The processes that issue the nonces of this deployment, each the only judge of its own. */
export interface NonceIssuers {
  /**
   * Asks the process `issuer` (its instance id, hexadecimal) to spend a nonce that it issued. Resolves within about a second and never
   * rejects: true only when that process spent it for this question, so at most once whoever asks. False as well when it is gone or cannot be
   * reached, or too many questions wait; the nonce may be spent then.
   */
  spend(issuer: string, nonce: string): Promise<boolean>;
}
