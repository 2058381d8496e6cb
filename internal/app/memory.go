package app

import (
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// share of the memory that the system lets the gateway have, from which on it collects harder.
const share = 0.85

// heedMemory has the collector keep below the limit that the system sets (a container, MemoryMax of the unit), unless
// GOMEMLIMIT says something else. It gives the limit, 0 where there is none.
func heedMemory(env func(string) string, read func(name string) ([]byte, error)) int64 {
	if env("GOMEMLIMIT") != "" {
		return 0
	}
	most := groupLimit(read)
	if most > 0 {
		debug.SetMemoryLimit(int64(float64(most) * share))
	}
	return most
}

// groupLimit is the least limit of the control groups that this process is in, 0 for none. It knows both versions of
// their file system.
func groupLimit(read func(name string) ([]byte, error)) int64 {
	list, err := read("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(list)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) < 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case f[1] == "memory":
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case f[1] != "":
			continue
		}
		for dir := path.Clean("/" + f[2]); ; dir = path.Dir(dir) {
			if b, err := read(path.Join(root, dir, file)); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 {
					least = min(least, n)
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	if least >= 1<<60 { // version 1 has no other word for none
		return 0
	}
	return least
}
