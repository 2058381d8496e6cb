package main

import "jigasi/internal/demo"

var runDemo = demo.Run
