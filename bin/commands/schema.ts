import { configJsonSchema } from '../../common/config/json-schema.ts'
import { EXIT, print } from '../command.ts'
import type { Command } from '../command.ts'
import { parseOptions } from '../options.ts'

/** `photoedge schema`: the JSON Schema for editors. */
export const command: Command = {
  name: 'schema',
  summary: 'print the JSON Schema of the configuration, for editors',
  help: `
Usage: photoedge schema [--json]

Prints the JSON Schema (draft 2020-12) of the configuration: with it an editor
completes keys and marks wrong ones. Relations are photoedge check's alone.

Example:
  photoedge schema > photoedge.schema.json
  # first line of edge.yaml:
  # yaml-language-server: $schema=photoedge.schema.json
`,
  run: (args) => {
    // It is JSON with or without the switch that every command has.
    parseOptions(args, { switches: { json: undefined } })
    print(JSON.stringify(configJsonSchema(), undefined, 2))
    return Promise.resolve(EXIT.ok)
  },
}
