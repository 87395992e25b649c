/** What an explanation asks of a store, beside pins and quarantines. It changes nothing. */

export interface EvidenceUseStore {
  /** Which of these was used already and may not be shown again. */
  usedAmong(oneTimeIds: readonly Buffer[]): Promise<readonly Buffer[]>;
}
