//go:build !linux

package export

// pace leaves the line as it is: it is read as sound comes.
func (l *line) pace() {}

func (l *line) wake(int) {}
