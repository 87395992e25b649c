/** What the parts of the schema are made of. */
import { Type, type TObject, type TProperties } from "typebox";

/** An object that refuses keys it does not know, and that may be left out. */
export const section = <T extends TProperties>(properties: T): TObject<T> =>
  Type.Object(properties, { additionalProperties: false, default: {} });

/** A path that may be left out. */
export const file = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 4096, description }));
/** An integer between two bounds, with its default. */
export const integer = (description: string, least: number, most: number, normal: number) =>
  Type.Integer({ minimum: least, maximum: most, default: normal, description });
