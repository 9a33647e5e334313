'use strict'

// A live stream of which log of the archive is how long. Only the newest length counts, so a slow reader
// skips some instead of making them pile up.

const { writeSlowly } = require('./http')

const HEARTBEAT_MS = 15_000

/** @typedef {InstanceType<typeof import('./replica').Replica>} LogReplica */
/** @typedef {{ replicas: Map<string, LogReplica>, listeners: Set<(replica: LogReplica) => void> }} Source */

/**
 * @param {Source} source
 * @param {import('node:http').ServerResponse} response
 * @param {() => boolean} isDraining
 */
async function streamLengths (source, response, isDraining) {
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
  response.flushHeaders()
  const changed = new Set(source.replicas.values()) // start with what is there
  let wake = () => {}
  /** @param {LogReplica} replica */
  const listener = replica => {
    changed.add(replica)
    wake()
  }
  source.listeners.add(listener)
  response.once('close', () => wake())
  try {
    while (!response.destroyed && !isDraining()) {
      const text = [...changed].map(replica => JSON.stringify({ key: replica.keyHex, length: replica.durable }) + '\n').join('')
      changed.clear()
      if (text !== '' && !await writeSlowly(response, text)) return
      if (changed.size > 0) continue
      const heartbeat = await new Promise(resolve => {
        const timer = setTimeout(resolve, HEARTBEAT_MS, true)
        wake = () => {
          clearTimeout(timer)
          resolve(false)
        }
      })
      if (heartbeat && !await writeSlowly(response, '\n')) return
    }
    response.end()
  } finally {
    source.listeners.delete(listener)
  }
}

module.exports = { streamLengths }
