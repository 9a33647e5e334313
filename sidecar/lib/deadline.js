'use strict'

// Waiting, but never for ever.

/**
 * Wait for a promise.
 * @param {Promise<unknown>} promise
 * @param {number} milliseconds
 */
async function withDeadline (promise, milliseconds) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  await Promise.race([promise, new Promise(resolve => { timer = setTimeout(resolve, milliseconds) })])
  clearTimeout(timer)
}

/**
 * Wait for the next such event.
 * @param {import('node:events').EventEmitter} emitter
 * @param {string} event
 * @param {number} milliseconds
 * @returns {Promise<boolean>} false when the time was over first
 */
function nextEvent (emitter, event, milliseconds) {
  return new Promise(resolve => {
    const came = () => {
      clearTimeout(timer)
      resolve(true)
    }
    const timer = setTimeout(() => {
      emitter.off(event, came)
      resolve(false)
    }, Math.max(0, milliseconds))
    emitter.once(event, came)
  })
}

module.exports = { withDeadline, nextEvent }
