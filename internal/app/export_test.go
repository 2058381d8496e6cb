package app

// RunWith is Run with options, for tests of the process.
var RunWith = run
