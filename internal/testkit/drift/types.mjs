// Prints what the type declarations of Telnyx's client for Node say of webhooks,
// as JSON: { version, models: [{ model, event_types, fields: [{ path, kinds }] }] }.
//
// The models are the members of the unions that the client's unwrap returns. A
// path begins at the body; dots join names, and "[]" stands behind the name of
// a list. Kinds are types of JSON: string, number, boolean, object, array, any.
// The argument is the directory with node_modules in it.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const directory = path.resolve(process.argv[2]);
const ts = createRequire(path.join(directory, 'x.js'))('typescript');
const client = path.join(directory, 'node_modules', 'telnyx');
const declarations = path.join(client, 'resources', 'webhooks.d.ts');
const program = ts.createProgram([declarations], { strict: true, noEmit: true, skipLibCheck: true, types: [] });
const checker = program.getTypeChecker();
const source = program.getSourceFile(declarations);
if (!source) throw new Error(`no ${declarations}`);

const unions = ['UnwrapWebhookEvent', 'UnsafeUnwrapWebhookEvent'];
const models = new Map();
ts.forEachChild(source, (node) => {
  if (!ts.isTypeAliasDeclaration(node) || !unions.includes(node.name.text)) return;
  const type = checker.getTypeAtLocation(node.name);
  for (const member of type.isUnion() ? type.types : [type]) {
    models.set(member.symbol.name, member);
  }
});
if (models.size === 0) throw new Error(`no ${unions.join(' or ')} in ${declarations}`);

// The fields that hold the event type: of most events, and of meetings.
const names = ['event_type', 'event'];

// parts returns the members of a union but for null and undefined.
function parts(type) {
  const all = type.isUnion() ? type.types : [type];
  return all.filter((t) => !(t.flags & (ts.TypeFlags.Null | ts.TypeFlags.Undefined)));
}

function kind(type) {
  const f = type.flags;
  if (f & ts.TypeFlags.StringLike) return 'string';
  if (f & ts.TypeFlags.NumberLike) return 'number';
  if (f & ts.TypeFlags.BooleanLike) return 'boolean';
  if (checker.isArrayType(type) || checker.isTupleType(type)) return 'array';
  if (f & ts.TypeFlags.Object) return 'object';
  return 'any';
}

// walk adds the fields of a type to fields, a Map of kinds by path.
function walk(type, prefix, fields, literals, above) {
  for (const part of parts(type)) {
    if (kind(part) !== 'object' || above.includes(part)) continue;
    for (const property of checker.getPropertiesOfType(part)) {
      const where = prefix + property.name;
      const inner = checker.getTypeOfSymbol(property);
      const kinds = fields.get(where) ?? new Set();
      fields.set(where, kinds);
      for (const p of parts(inner)) {
        kinds.add(kind(p));
        if (p.isStringLiteral() && names.includes(property.name)) literals.add(p.value);
        if (kind(p) === 'array') {
          walk(checker.getTypeArguments(p)[0], where + '[].', fields, literals, [...above, part]);
        }
      }
      walk(inner, where + '.', fields, literals, [...above, part]);
    }
  }
}

const result = [];
for (const [model, type] of models) {
  const fields = new Map();
  const literals = new Set();
  walk(type, '', fields, literals, []);
  result.push({
    model,
    event_types: [...literals].sort(),
    fields: [...fields].map(([where, kinds]) => ({ path: where, kinds: [...kinds].sort() })),
  });
}
const { version } = JSON.parse(readFileSync(path.join(client, 'package.json'), 'utf8'));
console.log(JSON.stringify({ version, models: result }));
