package app

import (
	"os"
	"runtime/debug"
	"testing"
)

// T56: the collector heeds the least limit of all control groups, of both versions, and GOMEMLIMIT before that.
func TestT56_MemoryLimitIsHeeded(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	for name, tt := range map[string]struct {
		files map[string]string
		env   string
		want  int64
	}{
		"container":     {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "268435456\n"}, "", 256 << 20},
		"unit":          {map[string]string{"/proc/self/cgroup": "0::/system.slice/jigasi.service\n", "/sys/fs/cgroup/system.slice/jigasi.service/memory.max": "1073741824\n", "/sys/fs/cgroup/system.slice/memory.max": "max\n"}, "", 1 << 30},
		"parent":        {map[string]string{"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "2147483648\n", "/sys/fs/cgroup/a/memory.max": "536870912\n"}, "", 512 << 20},
		"version 1":     {map[string]string{"/proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/1\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "134217728\n"}, "", 128 << 20},
		"none":          {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "max\n"}, "", 0},
		"version 1 off": {map[string]string{"/proc/self/cgroup": "4:memory:/\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, "", 0},
		"no files":      {nil, "", 0},
		"damaged":       {map[string]string{"/proc/self/cgroup": "x\n::\n0::/\n", "/sys/fs/cgroup/memory.max": "-5\n"}, "", 0},
		"own words":     {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "268435456\n"}, "100MiB", 0},
	} {
		t.Run(name, func(t *testing.T) {
			debug.SetMemoryLimit(1 << 50)
			got := heedMemory(func(string) string { return tt.env }, func(name string) ([]byte, error) {
				if s, ok := tt.files[name]; ok {
					return []byte(s), nil
				}
				return nil, os.ErrNotExist
			})
			limit := debug.SetMemoryLimit(-1)
			want := int64(1 << 50)
			if tt.want > 0 {
				want = int64(float64(tt.want) * share)
			}
			if got != tt.want || limit != want {
				t.Errorf("%d, the collector keeps below %d, want %d and %d", got, limit, tt.want, want)
			}
		})
	}
}
