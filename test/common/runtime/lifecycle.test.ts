import t from 'tap'
import { listenToSignals } from '../../../common/runtime/lifecycle.ts'

void t.test('a SIGHUP that came before anybody listened is a reload, once', (t) => {
  const log: string[] = []
  const say = (what: string) => () => void log.push(what)
  const listen = () =>
    listenToSignals({
      stop: say('stop'),
      kill: say('kill'),
      reload: say('reload'),
      reopen: say(''),
    })
  process.emit('SIGHUP')
  process.emit('SIGHUP')
  const forget = listen()
  t.strictSame(log, ['reload'])
  process.emit('SIGHUP')
  t.strictSame(log, ['reload', 'reload'])
  forget()
  listen()()
  t.strictSame(log, ['reload', 'reload'])
  t.end()
})
