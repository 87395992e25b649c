/** What carrying out a revocation needs from a store. */

/** An action that is not done. */
export interface RunningRevocation {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  /** Null where what was under way when it began may not have ended. */
  readonly closedAt: Date | null;
}

export interface RevocationProgress {
  /** What is under way in the database now, of any process; ids that are not used again soon. */
  transactions(): Promise<readonly string[]>;
  /**
   * From now on the action covers what was recorded by now and the intents there are, which are marked; nothing else. To be called
   * when all that was under way as it began has ended: what begins later sees that nothing more is to be issued.
   */
  close(id: string): Promise<void>;
  /** Revokes what it covers of the next certificates, at most so many. `taken` where another process is at it, or was faster to the end. */
  step(action: RunningRevocation, most: number): Promise<"running" | "done" | "taken">;
  /** What nobody was at since `before`. */
  left(before: Date): Promise<RunningRevocation[]>;
}
