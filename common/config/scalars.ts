import {
  canonicalIp,
  formatPrefix,
  isHostName,
  parseEndpoint,
  parsePrefix,
  formatEndpoint,
} from '../net/address.ts'
import {
  formatDuration,
  formatPercent,
  formatSize,
  parseDuration,
  parsePercent,
  parseSize,
} from './units.ts'
import type { SourceScalar } from './yaml-source.ts'

/** The kinds of single values that a configuration holds. */
export type ScalarKind = keyof typeof SCALARS

/** How one kind is read from the file's text and shown again. */
export interface ScalarForm {
  /** The value, or undefined when the text is none. */
  readonly parse: (text: string, node: SourceScalar) => unknown
  /** What would be right, after `is not`: `a duration: write one such as 100ms`. */
  readonly want: string
  /** A nearer reason for texts that deserve one. */
  readonly hint?: (text: string) => string | undefined
  /** What stands in for a value that could not be read, so that the rest can still be checked. */
  readonly blank: unknown
  /** For kinds with bounds: the bound as the file would write it. */
  readonly format?: (value: number) => string
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const RANGE = /^[^[\]]*\[[0-9]+-[0-9]+\][^[\]]*$/
const DOTS = /\/\.\.?(?:\/|$)/
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Removes the one range of a ranged text, so that what it makes can be judged by a sample. */
const sample = (text: string) => text.replace(/\[([0-9]+)-[0-9]+\]/, '$1')
const isRanged = (text: string) => RANGE.test(text) || !/[[\]]/.test(text)

const SWITCH = new Map([
  ['on', true],
  ['off', false],
])
const words = (form: RegExp) => (text: string) => (form.test(text) ? text : undefined)
const isName = (text: string) => NAME.test(text) && !(text.toLowerCase() in {})
const plainPort = (text: string) => {
  if (/^[0-9]+$/.test(text)) return `it wants an address too, such as 0.0.0.0:${text}`
  const host = text.replace(/:[0-9]+$/, '')
  if (host === '*') return 'write 0.0.0.0 for every IPv4 address, [::] for every address'
  if (isHostName(host))
    return `"${host}" is a host name, and names are not looked up: write its address`
  if (canonicalIp(text) !== undefined) return 'the port is missing'
  return undefined
}
const hostInstead = (text: string) =>
  isHostName(text)
    ? 'that is a host name, and names are not looked up: write its address'
    : undefined
const spaceless = (text: string) => (/\s/.test(text) ? 'it holds a space' : undefined)

/** Printable text of a header's value (RFC 9110 §5.5): no control characters, trimmed. */

const HEADER_VALUE =
  /^(?:[^\u0000-\u0008\u000a-\u0020\u007f](?:[^\u0000-\u0008\u000a-\u001f\u007f]*[^\u0000-\u0020\u007f])?)?$/

export const SCALARS = {
  text: { parse: (text: string) => text, want: 'a text', blank: '' },
  someText: { parse: words(/[^]/), want: 'a text: it must not be empty', blank: '' },
  name: {
    parse: (text: string) => (isName(text) ? text : undefined),
    want: 'a name: write letters, digits, ".", "_" and "-", at most 63, a letter or digit first',
    blank: '',
  },
  rangedName: {
    parse: (text: string) => (isRanged(text) && isName(sample(text)) ? text : undefined),
    want: 'a name, or a range of names such as router-[1-3] or cache-[01-50]',
    blank: '',
  },
  boxPattern: {
    parse: (text: string) =>
      isRanged(text) && isName(sample(text).replaceAll('*', 'x')) ? text : undefined,
    want: 'the name of a box, a pattern such as router-* or a range such as router-[1-3]',
    blank: '',
  },
  duration: {
    parse: parseDuration,
    want: 'a duration: write one such as 100ms, 3s, 2m or 1h',
    blank: 1000,
    format: formatDuration,
  },
  size: {
    parse: parseSize,
    want: 'a size: write one such as 512B, 8KB or 256MB',
    blank: 1024,
    format: formatSize,
  },
  percent: {
    parse: parsePercent,
    want: 'a share: write one from 0% to 100%',
    blank: 0,
    format: formatPercent,
  },
  freeBytes: {
    parse: (text: string) => share(text) ?? amount(parseSize(text)),
    want: 'a share or a size: write one such as 5% or 10GB',
    blank: { type: 'share', pct: 0 },
  },
  freeInodes: {
    parse: (text: string) => share(text) ?? amount(count(text)),
    want: 'a share or a number of inodes: write one such as 5% or 100000',
    blank: { type: 'share', pct: 0 },
  },
  integer: {
    parse: (_: string, node: SourceScalar) =>
      typeof node.value === 'number' && Number.isSafeInteger(node.value) ? node.value : undefined,
    want: 'a whole number',
    blank: 1,
    format: String,
  },
  toggle: {
    parse: (text: string, node: SourceScalar) =>
      typeof node.value === 'boolean' ? node.value : SWITCH.get(text),
    want: 'a switch: write on or off',
    blank: false,
  },
  address: {
    parse: canonicalIp,
    want: 'an IP address',
    hint: hostInstead,
    blank: '',
  },
  rangedAddress: {
    parse: (text: string) => (isRanged(text) && canonicalIp(sample(text)) ? text : undefined),
    want: 'an IP address, or a range of them such as 10.0.0.[11-13]',
    hint: hostInstead,
    blank: '',
  },
  endpoint: {
    parse: (text: string) => endpointText(text),
    want: 'an address and port: write one such as 0.0.0.0:80 or [::]:80',
    hint: plainPort,
    blank: '',
  },
  rangedEndpoint: {
    parse: (text: string) => endpointText(text) ?? (rangedEndpoint(text) ? text : undefined),
    want: 'an address and port: write one such as 192.0.2.1:8080 or [2001:db8::1]:8080',
    hint: plainPort,
    blank: '',
  },
  prefix: {
    parse: (text: string) => {
      const prefix = parsePrefix(text)
      return prefix && formatPrefix(prefix)
    },
    want: 'a prefix: write one such as 10.0.0.0/8 or 2001:db8::/32, with no bits set after its length',
    hint: hostInstead,
    blank: '',
  },
  file: {
    parse: words(/^[^\u0000\n\r]+$/),
    want: 'the path of a file',
    blank: '',
  },
  mountPoint: {
    // As the kernel names it: no slash twice, and none at the end.
    parse: (text: string) =>
      /^\/[^\u0000]*$/.test(text) && !DOTS.test(text)
        ? text.replaceAll(/\/+/g, '/').replace(/(?<=.)\/$/s, '')
        : undefined,
    want: 'where something is mounted: it begins with "/" and goes by no "." or ".."',
    blank: '',
  },
  urlPath: {
    parse: words(/^\/[!-~]*$/),
    want: 'a path: it begins with "/" and holds no space',
    hint: spaceless,
    blank: '',
  },
  pathPattern: {
    parse: words(/^\/[!-)+->@-~]*\*?$/),
    want: 'a path: it begins with "/", may end in "*", and holds no space, no query and no other "*"',
    hint: spaceless,
    blank: '',
  },
  userPath: {
    parse: words(/^\/[!->@-~]*$/),
    want: 'a path pattern such as /u/{user}/{photo}',
    hint: spaceless,
    blank: '',
  },
  hostName: {
    parse: (text: string) => routeHost(text),
    want: 'a host name: letters, digits, "-" and ".", no port',
    hint: (text: string) => {
      if (/:[0-9]+$/.test(text)) return 'write it without its port'
      if (text.includes('*')) return 'a pattern is not possible here: write one route for each host'
      return /[^ -~]/.test(text) ? 'write it in its ASCII form (xn--...)' : undefined
    },
    blank: '',
  },
  headerName: { parse: words(TOKEN), want: 'the name of a header field', blank: '' },
  headerValue: {
    parse: words(HEADER_VALUE),
    want: 'the value of a header field: no line break, no control character, no space at its ends',
    blank: '',
  },
  hostField: {
    parse: words(/^(?:[\w.~!$&'()*+,;=%-]+|\[[\da-f:.]+\])(?::\d+)?$/i),
    want: 'what a Host field holds: a host name or address, and its port if it needs one',
    blank: 'localhost',
  },
  location: {
    parse: words(/^(?:https?:\/\/[!-~]+|\/[!-~]*|\{target\}[!-~]*)$/),
    want: 'an address to redirect to: it begins with http://, https:// or "/", and holds no space',
    blank: '/',
  },
  url: {
    parse: words(/^https?:\/\/[^\s/?#]+[!-~]*$/),
    want: 'an address such as https://hooks.example.com/edge',
    blank: '',
  },
  parameter: { parse: words(/^[!-~]+$/), want: 'the name of a query parameter', blank: '' },
  method: {
    parse: words(/^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|TRACE)$/),
    want: 'a method: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or TRACE, in capitals',
    blank: 'GET',
  },
  sha256: {
    parse: (text: string) => words(/^[0-9a-f]{64}$/i)(text)?.toLowerCase(),
    want: 'a SHA-256 digest: 64 hexadecimal digits',
    blank: '',
  },
  mail: { parse: words(/^[^\s@<>]+@[^\s@<>]+$/), want: 'a mail address', blank: '' },
} as const satisfies Record<string, ScalarForm>

function share(text: string) {
  const pct = parsePercent(text)
  return pct === undefined ? undefined : { type: 'share', pct }
}

function amount(value: number | undefined) {
  return value === undefined ? undefined : { type: 'amount', amount: value }
}

function count(text: string): number | undefined {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined
}

function endpointText(text: string): string | undefined {
  const endpoint = parseEndpoint(text)
  return endpoint && formatEndpoint(endpoint)
}

function rangedEndpoint(text: string): boolean {
  return (
    isRanged(text.replace(/^\[[0-9a-f:.]*\]/i, '')) && parseEndpoint(sample(text)) !== undefined
  )
}

function routeHost(text: string): string | undefined {
  const host = text.toLowerCase().replace(/\.$/, '')
  const bracketed = /^\[(.*)\]$/.exec(host)?.[1]
  if (bracketed !== undefined) return canonicalIp(bracketed) && host
  return canonicalIp(host) ?? (isHostName(host) ? host : undefined)
}
