package kind

import "os"

// running tells whether there is a process with that id: on Windows, finding it opens it.
func running(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release() // only asked for
	return true
}
