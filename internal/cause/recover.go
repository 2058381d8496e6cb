package cause

import (
	"fmt"
	"runtime/debug"
)

// Recover is deferred by goroutines that serve one call: what they panic with becomes a cause, and
// told, which should log it (what was panicked with is in Err alone) and end that call, keeps it from
// being the end of all others (T33).
func Recover(told func(why Cause, stack []byte)) {
	if r := recover(); r != nil {
		told(Cause{Code: Panic, Text: "a defect of ours ended this call", Err: fmt.Errorf("panic: %v", r)}, debug.Stack())
	}
}
