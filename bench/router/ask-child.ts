import type { ChildProcess } from 'node:child_process'

/** Sends a request over a child's channel; resolves with the reply, rejects where the child ends. */
export function askChild<Reply>(
  child: ChildProcess,
  name: string,
  request: object | number,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => {
      reject(new Error(`${name} ended`))
    }
    child.once('exit', onExit)
    child.once('message', (reply: Reply) => {
      child.off('exit', onExit)
      resolve(reply)
    })
    child.send(request, (error) => {
      if (error !== null) reject(error)
    })
  })
}
