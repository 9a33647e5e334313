'use strict'
module.exports = { startArchive: async (/** @type {any} */ c) => ({ ready: c, stop: async () => {} }) }
