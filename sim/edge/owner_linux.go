package edge

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// owner names the process that listens on at ("nginx (pid 812)"), "" if that cannot be seen: proc(5) shows the sockets of
// everybody, but the file descriptors of the user's own processes only.
func owner(at netip.AddrPort) string {
	socket := listeningSocket(at)
	if socket == "" {
		return ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, l := range links {
		if target, err := os.Readlink(l); err != nil || target != socket {
			continue
		}
		pid := strings.Split(l, "/")[2]
		comm, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			return "pid " + pid
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(comm)), pid)
	}
	return ""
}

// listeningSocket gives "socket:[inode]" of the listener that at collides with, "" if there is none.
func listeningSocket(at netip.AddrPort) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		var found string
		for lines := bufio.NewScanner(f); lines.Scan() && found == ""; {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...
			fields := strings.Fields(lines.Text())
			const listening = "0A"
			if len(fields) < 10 || fields[3] != listening {
				continue
			}
			if a, ok := parseProcAddr(fields[1]); ok && collide(a, at) {
				found = "socket:[" + fields[9] + "]"
			}
		}
		_ = f.Close() // it was only read
		if found != "" {
			return found
		}
	}
	return ""
}

// parseProcAddr reads "0100007F:20FB": words of four bytes in the machine's order, little-endian on all that Go's Linux
// ports of this program run on.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	ip, port, ok := strings.Cut(s, ":")
	p, perr := strconv.ParseUint(port, 16, 16)
	b, herr := hex.DecodeString(ip)
	if !ok || perr != nil || herr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for w := range slices.Chunk(b, 4) {
		slices.Reverse(w)
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), ok
}

func collide(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && (a.Addr() == b.Addr().Unmap() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified())
}
