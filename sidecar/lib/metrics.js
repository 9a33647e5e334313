'use strict'

// Prometheus metrics, on a port of their own that shows no content; behind a token where one is configured.

const http = require('node:http')
const prom = require('prom-client')
const { isBearer } = require('./bearer')

const SECONDS = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5]
const RECORDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

/** @typedef {ReturnType<typeof logMetrics>} LogMetrics */

/** Metrics of a sidecar. */
function logMetrics () {
  const registry = new prom.Registry()
  prom.collectDefaultMetrics({ register: registry })
  const registers = [registry]
  return {
    registry,
    appended: new prom.Counter({ name: 'bzzz_log_appended_records_total', help: 'Records appended.', registers }),
    replayed: new prom.Counter({ name: 'bzzz_log_replayed_records_total', help: 'Records that were there already.', registers }),
    errors: new prom.Counter({ name: 'bzzz_log_errors_total', help: 'Answers that were an error, by code.', labelNames: ['code'], registers }),
    refused: new prom.Counter({ name: 'bzzz_log_replication_refused_total', help: 'Connections by a Noise key that is not on the list.', registers }),
    commitSeconds: new prom.Histogram({ name: 'bzzz_log_commit_seconds', help: 'One group commit: append, fdatasync, watermark.', buckets: SECONDS, registers }),
    syncSeconds: new prom.Histogram({ name: 'bzzz_log_sync_seconds', help: 'fdatasync of the write-ahead log.', buckets: SECONDS, registers }),
    batchRecords: new prom.Histogram({ name: 'bzzz_log_commit_records', help: 'Records a group commit.', buckets: RECORDS, registers }),
    /** @param {string} name @param {string} help @param {() => number} read */
    gauge (name, help, read) {
      return new prom.Gauge({ name, help, registers, collect () { this.set(read()) } })
    }
  }
}

/**
 * Metrics of an archive; every figure of a log carries its node.
 * @param {() => { nodeId: string, key: string, length: number, lag: number | null, connected: boolean, conflict: boolean }[]} list
 */
function archiveMetrics (list) {
  const registry = new prom.Registry()
  prom.collectDefaultMetrics({ register: registry })
  const registers = [registry]
  /** @param {string} name @param {string} help @param {(log: ReturnType<typeof list>[number]) => number | null} read */
  const gauge = (name, help, read) => new prom.Gauge({
    name,
    help,
    labelNames: ['node', 'key'],
    registers,
    collect () {
      this.reset()
      for (const log of list()) {
        const value = read(log)
        if (value !== null) this.set({ node: log.nodeId, key: log.key.slice(0, 16) }, value)
      }
    }
  })
  gauge('bzzz_archive_length', 'Blocks held durably and without a gap.', log => log.length)
  gauge('bzzz_archive_lag', 'Blocks the sidecar has and the archive does not hold durably; absent until it was seen.', log => log.lag)
  gauge('bzzz_archive_connected', '1 while the sidecar is connected.', log => Number(log.connected))
  gauge('bzzz_archive_conflict', '1 when two signed histories of the log were seen.', log => Number(log.conflict))
  return {
    registry,
    errors: new prom.Counter({ name: 'bzzz_archive_errors_total', help: 'Answers that were an error, by code.', labelNames: ['code'], registers }),
    refused: new prom.Counter({ name: 'bzzz_archive_replication_refused_total', help: 'Sidecars that showed another Noise key than expected.', registers }),
    syncSeconds: new prom.Histogram({ name: 'bzzz_archive_sync_seconds', help: 'fdatasync of a replica\'s write-ahead log.', buckets: SECONDS, registers })
  }
}

/**
 * @param {prom.Registry} registry
 * @param {string | null} token without it anybody may read them
 * @returns {http.Server} serves /metrics
 */
function metricsServer (registry, token) {
  const server = http.createServer({ maxHeaderSize: 8192, requestTimeout: 5000 }, async (request, response) => {
    if (token !== null && !isBearer(request, token)) {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
      return
    }
    if (request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics())
  })
  server.maxConnections = 16
  return server
}

module.exports = { logMetrics, archiveMetrics, metricsServer }
