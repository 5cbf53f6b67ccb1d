package clustertest

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// What differs between two runs of the same commands stands in a transcript as a word in capitals.
var masks = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun),? ([A-Z][a-z]{2}|\d\d) (\d\d|[ \d]\d|[A-Z][a-z]{2}) (\d{4} )?\d\d:\d\d:\d\d( \d{4}| [+-]\d{4}| UTC)*`), "TIME"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4}( [A-Z]{3,4})?`), "TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "UID"},
	{regexp.MustCompile(`\b[a-z]+://[0-9a-f]{32,64}\b`), "CONTAINER"},
	{regexp.MustCompile(`\b(\S+@)?sha256:[0-9a-f]{64}`), "DIGEST"},
	{regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b`), "-HASH-RAND"},
	{regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{8,10}\b`), "-HASH"},
	{regexp.MustCompile(`-[bcdfghjklmnpqrstvwxz2456789]{5}\b`), "-RAND"},
	{regexp.MustCompile(`pod-template-hash=[bcdfghjklmnpqrstvwxz2456789]+`), "pod-template-hash=HASH"},
	{regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+(/\d+)?(:\d+)?\b`), "IP"},
	{regexp.MustCompile(`Image size: \d+ bytes`), "Image size: N bytes"},
	{regexp.MustCompile(`in \d+(\.\d+)?m?s \(\d+(\.\d+)?m?s including waiting\)`), "in DURATION (DURATION including waiting)"},
	{regexp.MustCompile(` \(x\d+ over ([0-9smhd]+|<invalid>)\)`), ""},
	{regexp.MustCompile(`\b[1-9]\d* \([0-9smhd]+ ago\)`), "N (AGE ago)"},
	{regexp.MustCompile(`Restart Count:( +)[1-9]\d*`), "Restart Count: N"},
	{regexp.MustCompile(`https://\S+:\d+`), "https://SERVER"},
	{regexp.MustCompile(`(LIVE|MERGED)-\d+`), "$1"},
	{regexp.MustCompile(`\bgeneration: \d+`), "generation: N"},
	{regexp.MustCompile(`<invalid>`), "0s"}, // the age of what was before the clock of kubectl's machine
	{regexp.MustCompile(`resourceVersion: "\d+"`), `resourceVersion: "N"`},
}

// age is how kubectl says how long ago something was.
var age = regexp.MustCompile(`^(\d+[smhdy]){1,2}\)?$`)

// klog is how kubectl's libraries tell of themselves, of a watch that was short for example.
var klog = regexp.MustCompile(`^[IWE]\d{4} \d\d:\d\d:`)

// exact names the words after which a span of time or a quantity is not an age.
var exact = map[string]bool{"back-off": true, "cpu:": true}

// mask gives a command's output without what differs from run to run, one space between words.
func (p *space) mask(out string) []string {
	swap := []string{p.name, "NAMESPACE", p.Image, "IMAGE", cmp.Or(p.Locked, "LOCKED"), "LOCKED", p.dir + "/", "", p.suite.dir + "/", ""}
	for i := range p.nodes {
		swap = append(swap, p.nodes[i].Name, "NODE")
	}
	out = strings.NewReplacer(swap...).Replace(out)
	for _, m := range masks {
		out = m.re.ReplaceAllString(out, m.with)
	}
	n := strconv.Itoa(len(p.nodes))
	out = strings.ReplaceAll(out, "0/"+n+" nodes are available: "+n+" ", "0/N nodes are available: N ")
	out = strings.ReplaceAll(out, "0/"+n+" nodes are available: ", "0/N nodes are available: ")
	var lines []string
	shuffled := false // helm lists a release's resources kind by kind, in any order
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		for i, w := range words {
			if age.MatchString(w) && (i == 0 || !exact[words[i-1]]) {
				words[i] = "AGE" + strings.TrimLeft(w, "0123456789smhdy")
			}
		}
		line := strings.Join(words, " ")
		if strings.HasPrefix(line, "TEST SUITE:") || strings.HasPrefix(line, "NOTES:") {
			shuffled = false
		}
		switch {
		case shuffled, line == "", len(lines) > 0 && lines[len(lines)-1] == line: // how often one says it is chance
		case klog.MatchString(line):
		case strings.HasPrefix(line, "Waiting for deployment "): // and so is at which steps one looks
		default:
			lines = append(lines, line)
			shuffled = line == "RESOURCES:"
		}
	}
	return lines
}
