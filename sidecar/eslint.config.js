'use strict'

const js = require('@eslint/js')
const globals = require('globals')

module.exports = [
  { ignores: ['node_modules/**'] },
  js.configs.recommended,
  {
    files: ['**/*.js'],
    languageOptions: { sourceType: 'commonjs', ecmaVersion: 2022, globals: globals.node },
    rules: {
      'no-var': 'error',
      'prefer-const': 'error',
      eqeqeq: 'error',
      'no-implicit-coercion': 'error',
      'no-console': 'error', // stdout carries the ready line and nothing else; logs go through lib/logger.js
      'consistent-return': 'error',
      'max-lines': ['error', 300]
    }
  }
]
