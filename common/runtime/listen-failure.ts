import { findPortOwner } from './port-owner.ts'

/**
 * Why a service can't listen on a TCP address, by the system error's name (bind(2), listen(2)), and
 * what to do; undefined where the system's own words must do.
 */
export function listenFailure(
  code: string,
  { address, port }: { readonly address: string; readonly port: number },
): string | undefined {
  switch (code) {
    case 'EADDRINUSE': {
      const owner = findPortOwner(port)
      return `the port is in use${owner === undefined ? '' : ` by ${owner}`}; stop its owner or choose another port`
    }
    case 'EACCES':
      return `ports below 1024 need the right CAP_NET_BIND_SERVICE (the unit's AmbientCapabilities) or root`
    case 'EADDRNOTAVAIL':
      return `this box has no address ${address}`
    case 'EAFNOSUPPORT':
      return 'this box has no IPv6'
    case 'EMFILE':
      return 'the process may open no more files (ulimit -n)'
    default:
      return undefined
  }
}
