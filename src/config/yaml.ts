/** YAML as people write it for us: one document, every key once, and aliases only for what they do not hold themselves. */
import { isAlias, parseDocument, visit } from "yaml";

/** How often all aliases of a file may be followed: more is a small file that stands for a huge one. */
const aliasesMax = 100;

/**
 * The value of a YAML text, of plain objects, lists and scalars; null for an empty one.
 * @param file - its name, for messages
 * @throws {Error} with a sentence
 */
export function readYaml(text: string, file: string): unknown {
  const document = parseDocument(text, { uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw new Error(`${file}: ${error.message.split("\n")[0]}`);
  visit(document, (_key, node, path) => {
    if (!isAlias(node)) return;
    const meant = node.resolve(document);
    if (path.includes(meant as never))
      throw new Error(`${file}: the alias *${node.source} stands for something that it is a part of`);
  });
  try {
    return document.toJS({ maxAliasCount: aliasesMax });
  } catch (cause) {
    throw new Error(`${file}: ${(cause as Error).message}`, { cause });
  }
}
