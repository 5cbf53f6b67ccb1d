package driver

import (
	"archive/zip"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// maxPart is the longest name of a file or a folder, in bytes. Source: NAME_MAX of Linux.
const maxPart = 255

// layout is what an archive holds, by driver.
type layout struct {
	drivers map[string]*parts
	ignored []string // entries outside the folder drivers, and hidden files: tools for archives add such
}

// parts are the entries of one driver.
type parts struct {
	config *zip.File
	files  []*zip.File
}

// arrange looks at the names in an archive, and at nothing else of it.
func arrange(z *zip.Reader) (*layout, error) {
	if len(z.File) > maxFiles {
		return nil, invalid("it has %d entries, more than %d", len(z.File), maxFiles)
	}
	l := &layout{drivers: map[string]*parts{}}
	for _, f := range z.File {
		if err := l.add(f); err != nil {
			return nil, err
		}
	}
	if err := unique(z.File); err != nil {
		return nil, err
	}
	if len(l.drivers) == 0 {
		if len(l.ignored) > 0 {
			return nil, invalid("there is no driver in the folder %s at its root; it holds %q", root, l.ignored[0])
		}
		return nil, invalid("it is empty")
	}
	if len(l.drivers) > MaxDrivers {
		return nil, invalid("it has %d drivers, more than %d", len(l.drivers), MaxDrivers)
	}
	for _, name := range slices.Sorted(maps.Keys(l.drivers)) {
		switch p := l.drivers[name]; {
		case p.config == nil:
			return nil, invalid("%s is missing", path.Join(configDir, name, name+".properties"))
		case len(p.files) == 0:
			return nil, invalid("there is no file in %s", path.Join(filesDir, name))
		}
	}
	return l, nil
}

// add puts an entry where it belongs.
func (l *layout) add(f *zip.File) error {
	name, folder := strings.CutSuffix(f.Name, "/")
	if !fs.ValidPath(name) || strings.ContainsAny(name, `\`+"\x00") || name == "." {
		return invalid("its entry %q leads outside the archive", f.Name)
	}
	if mode := f.Mode(); !folder && !mode.IsRegular() {
		return invalid("its entry %q is neither a file nor a folder", f.Name)
	}
	in := strings.Split(name, "/")
	if slices.ContainsFunc(in, func(s string) bool { return len(s) > maxPart }) {
		return invalid("its entry %.80q... has a name of more than %d bytes", f.Name, maxPart)
	}
	if in[0] != root || strings.HasPrefix(in[len(in)-1], ".") {
		l.ignored = append(l.ignored, f.Name)
		return nil
	}
	if folder && len(in) <= 3 && (len(in) < 2 || in[1] == "configs" || in[1] == "drivers") && (len(in) < 3 || letters(in[2])) {
		return nil
	}
	if len(in) < 4 || in[1] != "configs" && in[1] != "drivers" {
		return invalid("its entry %q belongs neither into %s/<name>/ nor into %s/<name>/", f.Name, configDir, filesDir)
	}
	if !letters(in[2]) {
		return invalid("its entry %q is of a driver whose name is not 1 to %d letters a-z, A-Z", f.Name, maxName)
	}
	if in[1] == "drivers" && folder {
		return nil
	}
	p := l.drivers[in[2]]
	if p == nil {
		p = &parts{}
		l.drivers[in[2]] = p
	}
	switch {
	case in[1] == "drivers":
		p.files = append(p.files, f)
	case len(in) == 4 && in[3] == in[2]+".properties" && !folder:
		p.config = f
	default:
		return invalid("its entry %q should be %s", f.Name, path.Join(configDir, in[2], in[2]+".properties"))
	}
	return nil
}

// unique makes sure that each entry has a place of its own: no name twice, and no file where a folder must be. Names are
// compared without their case, which not every file system tells.
func unique(entries []*zip.File) error {
	seen := map[string]*zip.File{}
	for _, f := range entries {
		name := strings.ToLower(strings.TrimSuffix(f.Name, "/"))
		if other := seen[name]; other != nil {
			return invalid("its entry %q stands twice, as %q too", f.Name, other.Name)
		}
		seen[name] = f
	}
	for name, f := range seen {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if above := seen[dir]; above != nil && above.Mode().IsRegular() {
				return invalid("its entry %q stands below the file %q", f.Name, above.Name)
			}
		}
	}
	return nil
}

// letters tells whether s can be the name of a driver: "use only letters of either case (a-z or A-Z)" (seed).
func letters(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
