/** Requirements that apply and have no test yet. The list may only shrink: a test for one of these without its removal here fails as well. */
export const pending: readonly string[] = [];
