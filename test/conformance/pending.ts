/** Requirements that apply and have no test yet. The list may only shrink: a test for one of these without its removal here fails as well. */
export const pending: readonly string[] = ["R7.3.3-1", "R7.3.4-1", "R7.3.4-2", "R7.3.4-3", "R7.3.4-4", "H-08"];
