package doctor

import "golang.org/x/sys/unix"

// Memory gives all for available, too: what the system caches it gives back, and it does not tell how much that is.
func (thisMachine) Memory() (all, available uint64, err error) {
	all, err = unix.SysctlUint64("hw.memsize")
	return all, all, err
}
