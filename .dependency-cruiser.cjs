// Who may import whom. The table in ARCHITECTURE.md is this file in words.
const error = (name, from, to) => ({ name, severity: 'error', from, to })

module.exports = {
  forbidden: [
    error('no-cycles', {}, { circular: true }),
    error('net-is-leaf', { path: '^common/net/' }, { pathNot: '^common/net/' }),
    error('model-is-leaf', { path: '^common/model/' }, { pathNot: '^common/(net|model)/' }),
    error(
      'config-is-pure',
      { path: '^common/config/' },
      { pathNot: ['^common/(net|model|config)/', 'node_modules/(typebox|yaml)/'] },
    ),
    error(
      'core-is-pure',
      { path: '^[^/]+/core/' },
      { pathNot: ['^common/(net|model|config)/', '^[^/]+/core/', 'node_modules/lru-cache/'] },
    ),
    error(
      'core-uses-config-types-only',
      { path: '^[^/]+/core/' },
      { path: '^common/config/', dependencyTypesNot: ['type-only'] },
    ),
    error(
      'components-do-not-know-each-other',
      { path: '^(director|router|healthcheck|alerts|admin)/' },
      { path: '^(director|router|healthcheck|alerts|admin|bin)/', pathNot: '^$1/' },
    ),
    error(
      'shell-kit-knows-no-component',
      { path: '^common/runtime/' },
      { path: '^(director|router|healthcheck|alerts|admin|bin)/' },
    ),
    error('nothing-imports-tests', { pathNot: '^(test|bench)/' }, { path: '^(test|bench)/' }),
  ],
  options: {
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
    },
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(\\.tap|tap-snapshots)/' },
  },
}
