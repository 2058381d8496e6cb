package room

// Mixes is how many different mixes were made of the latest turn of an ear's room.
func Mixes(e *Ear) int {
	m := e.m
	m.turning.Lock()
	defer m.turning.Unlock()
	return len(m.ring[m.count%int64(len(m.ring))].mixes)
}
