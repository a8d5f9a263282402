import { AggregatorRegistry, Registry } from 'prom-client'
import { METRIC_FAMILIES } from '../core/metric-families.ts'
import type { MetricState } from '../core/metric-families.ts'

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE

/** Everything that a router exports, in the Prometheus text format 0.0.4. */
export function metricsText(state: MetricState): Promise<string> {
  const metrics = METRIC_FAMILIES.map(({ name, help, type, values }) => ({
    name,
    help,
    type,
    aggregator: 'sum',
    values: Array.from(values(state), ({ labels, value, suffix }) => ({
      labels,
      value,
      ...(suffix !== undefined && { metricName: name + suffix }),
    })),
  }))
  return AggregatorRegistry.aggregate([metrics]).metrics()
}
