package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// Memory reads what the kernel tells. Source: proc_meminfo(5).
func (thisMachine) Memory() (all, available uint64, err error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }() // only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var name string
		var kib uint64
		if n, _ := fmt.Sscan(lines.Text(), &name, &kib); n != 2 {
			continue
		}
		switch name {
		case "MemTotal:":
			all = kib << 10
		case "MemAvailable:":
			return all, kib << 10, nil
		}
	}
	return 0, 0, errors.New("/proc/meminfo has no MemAvailable")
}
