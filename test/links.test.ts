// What the documents name exists: files, scripts, commands.

import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'

const ROOT = path.join(import.meta.dirname, '..')

function filesBelow(folder: string, ending: string): string[] {
  return fs
    .readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(folder, name))
}

function read(file: string): string {
  return fs.readFileSync(path.join(ROOT, file), 'utf8')
}

const documents = [
  ...fs.readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...filesBelow('docs', '.md'),
  ...filesBelow('deploy', '.md'),
]

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, found = '']) => found)
}

void t.test('every link between documents leads somewhere', (t) => {
  for (const document of documents) {
    for (const link of matches(read(document), /\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
      const target = path.join(ROOT, path.dirname(document), link)
      t.ok(fs.existsSync(target), `${document}: ${link}`)
    }
  }
  t.end()
})

void t.test('every npm script and photoedge command that is named exists', (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const commands = fs
    .readdirSync(path.join(ROOT, 'bin', 'commands'))
    .map((file) => file.slice(0, -3))
  for (const document of documents) {
    for (const script of matches(read(document), /npm run (?:-s )?([a-z:]+)/g)) {
      t.ok(script in scripts, `${document}: npm run ${script}`)
    }
    for (const command of matches(read(document), /`photoedge ([a-z]+)/g)) {
      t.ok(commands.includes(command), `${document}: photoedge ${command}`)
    }
  }
  t.end()
})
