package bridge

// HasTwin reports whether media is read by the clock.
func (c *Conn) HasTwin() bool { return c.line.twin.Load() != nil }
