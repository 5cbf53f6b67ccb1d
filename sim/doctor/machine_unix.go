//go:build linux || darwin

package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Disk asks for what a user who is not root may still write.
func (thisMachine) Disk(folder string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, fmt.Errorf("ask for the disk of %s: %w", folder, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}
