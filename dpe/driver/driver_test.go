package driver_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpesim/dpesim/dpe/driver"
	"github.com/dpesim/dpesim/sim"
)

const (
	config  = "drivers/configs/auroraPostgres/auroraPostgres.properties"
	jarName = "drivers/drivers/auroraPostgres/postgresql-42.4.1.jar"
	prefix  = "plugin.jdbcdatasource.ataccama.one.driver.aurora-postgresql."
)

// entry is a file in a zip; a name that ends with "/" is a folder.
type entry struct{ name, text string }

func pack(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		f, err := w.Create(e.name)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := f.Write([]byte(e.text)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// good is the example of the seed.
func good(tb testing.TB) []entry {
	tb.Helper()
	jar := pack(tb, entry{"META-INF/MANIFEST.MF", ""}, entry{"org/postgresql/Driver.class", "\xca\xfe\xba\xbe"})
	return []entry{
		{"drivers/", ""},
		{"drivers/configs/", ""},
		{"drivers/configs/auroraPostgres/", ""},
		{config, "# Aurora\n" + prefix + "name = Aurora PostgreSQL\n" + prefix + "driver-class=org.postgresql.Driver\n"},
		{"drivers/drivers/", ""},
		{"drivers/drivers/auroraPostgres/", ""},
		{jarName, string(jar)},
		{"drivers/drivers/auroraPostgres/lib/log.properties", "a=b"},
	}
}

func unpack(t *testing.T, archive []byte) ([]driver.Driver, []string, string, error) {
	t.Helper()
	dir := t.TempDir()
	d, ignored, err := driver.Unpack(t.Context(), bytes.NewReader(archive), int64(len(archive)), dir)
	return d, ignored, dir, err
}

func TestUnpackReadsTheStandardStructure(t *testing.T) {
	t.Parallel()
	entries := append(good(t), entry{"__MACOSX/drivers/._configs", ""}, entry{"drivers/.DS_Store", ""})
	got, ignored, dir, err := unpack(t, pack(t, entries...))
	if err != nil {
		t.Fatal(err)
	}
	want := []driver.Driver{{
		Name: "auroraPostgres", ID: "aurora-postgresql", Class: "org.postgresql.Driver",
		Properties: map[string]string{prefix + "name": "Aurora PostgreSQL", prefix + "driver-class": "org.postgresql.Driver"},
		Files:      []string{"drivers/drivers/auroraPostgres/lib/log.properties", jarName},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"__MACOSX/drivers/._configs", "drivers/.DS_Store"}, ignored); d != "" {
		t.Error(d)
	}
	if b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(jarName))); err != nil || string(b) != entries[6].text {
		t.Errorf("the JAR was not unpacked as it is: %v", err)
	}
}

func TestClassMayBeAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	e := good(t)
	e[6] = entry{"drivers/drivers/auroraPostgres/org/postgresql/Driver.class", "\xca\xfe\xba\xbe"}
	if _, _, _, err := unpack(t, pack(t, e...)); err != nil {
		t.Error(err)
	}
}

func TestUnpackRefusesInWords(t *testing.T) {
	t.Parallel()
	replace := func(i int, e entry) []entry { out := good(t); out[i] = e; return out }
	plus := func(e ...entry) []entry { return append(good(t), e...) }
	for want, entries := range map[string][]entry{
		"it is empty": {},
		`there is no driver in the folder drivers at its root; it holds "mine/drivers/configs/a/a.properties"`: {{"mine/drivers/configs/a/a.properties", ""}},
		`"drivers/../../evil" leads outside the archive`:                                                       plus(entry{"drivers/../../evil", ""}),
		`"/etc/passwd" leads outside the archive`:                                                              plus(entry{"/etc/passwd", ""}),
		`"drivers\\configs\\x" leads outside the archive`:                                                      plus(entry{`drivers\configs\x`, ""}),
		`"drivers/readme.txt" belongs neither into`:                                                            plus(entry{"drivers/readme.txt", ""}),
		`"drivers/libs/a/b.jar" belongs neither into`:                                                          plus(entry{"drivers/libs/a/b.jar", ""}),
		`whose name is not 1 to 63 letters a-z, A-Z`:                                                           plus(entry{"drivers/drivers/aurora-2/b.jar", ""}),
		"drivers/configs/second/second.properties is missing":                                                  plus(entry{"drivers/drivers/second/b.jar", ""}),
		"there is no file in drivers/drivers/second":                                                           plus(entry{"drivers/configs/second/second.properties", ""}),
		`"drivers/configs/auroraPostgres/a.txt" should be ` + config:                                           plus(entry{"drivers/configs/auroraPostgres/a.txt", ""}),
		"stands twice": plus(entry{strings.ToUpper(jarName[16:]), ""}, entry{jarName[16:], ""}),
		`stands below the file "` + jarName + `"`:                plus(entry{jarName + "/x", ""}),
		"has a name of more than 255 bytes":                      plus(entry{"drivers/drivers/auroraPostgres/" + strings.Repeat("x", 256), ""}),
		"line 2: \\u is not followed by four hexadecimal digits": replace(3, entry{config, "\na=\\u12"}),
		"names no driver class":                                  replace(3, entry{config, prefix + "name=x"}),
		`configures two drivers, "a" and "b"`: replace(3, entry{
			config,
			"plugin.jdbcdatasource.ataccama.one.driver.a.driver-class=A\nplugin.jdbcdatasource.ataccama.one.driver.b.driver-class=B",
		}),
		"it is not UTF-8": replace(3, entry{config, "a=\xff"}),
		"is too large":    replace(3, entry{config, strings.Repeat("#", 1<<20+1)}),
		"is no JAR":       replace(6, entry{jarName, "PK"}),
		"the class org.postgresql.Driver of the driver auroraPostgres is in none of the files of drivers/drivers/auroraPostgres": replace(6, entry{jarName, string(pack(t))}),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, _, _, err := unpack(t, pack(t, entries...))
			msg, help := sim.Explain(err)
			if sim.KindOf(err) != sim.Invalid || !strings.Contains(msg, want) || help == "" {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestUnpackRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "drivers/drivers/auroraPostgres/link.jar"}
	h.SetMode(fs.ModeSymlink | 0o777)
	f, err := w.CreateHeader(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("/etc/passwd")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := unpack(t, b.Bytes()); err == nil || !strings.Contains(err.Error(), "is neither a file nor a folder") {
		t.Errorf("got %v", err)
	}
}

func TestDamagedArchiveIsRefused(t *testing.T) {
	t.Parallel()
	text := "drivers are here"
	e := good(t)
	e[7].text = text
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, x := range e {
		f, err := w.CreateHeader(&zip.FileHeader{Name: x.name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(x.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(b.Bytes(), []byte(text), []byte("drivers are hers"), 1)
	if _, _, _, err := unpack(t, damaged); sim.KindOf(err) != sim.Invalid || !strings.Contains(err.Error(), "log.properties cannot be unpacked (zip: checksum error)") {
		t.Errorf("got %v", err)
	}
	if _, _, _, err := unpack(t, []byte("hello")); err == nil || !strings.Contains(err.Error(), "it is no zip archive (zip: not a valid zip file)") {
		t.Errorf("got %v", err)
	}
}

func TestPropertiesAreJavas(t *testing.T) {
	t.Parallel()
	e := good(t)
	e[3].text = "! comment\r\n" + prefix + "driver-class : org.postgresql.Driver\r\n" +
		"a\\ b\\=c = one, \\\r\n    two\nempty\nblank  value of it \nu=\\u0041\\t\\q\\\\\nend=x\\"
	got, _, _, err := unpack(t, pack(t, e...))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		prefix + "driver-class": "org.postgresql.Driver", "a b=c": "one, two", "empty": "", "blank": "value of it ", "u": "A\tq\\", "end": "x",
	}
	if d := cmp.Diff(want, got[0].Properties); d != "" {
		t.Error(d)
	}
}

func TestUnpackEndsWithItsContext(t *testing.T) {
	t.Parallel()
	archive := pack(t, good(t)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := driver.Unpack(ctx, bytes.NewReader(archive), int64(len(archive)), t.TempDir()); err == nil || sim.KindOf(err) != sim.Unavailable {
		t.Errorf("got %v", err)
	}
}

// FuzzUnpack: whatever the archive is, it is unpacked below the directory, or refused as invalid.
func FuzzUnpack(f *testing.F) {
	e := good(f)
	f.Add(pack(f, e...))
	f.Add(pack(f, entry{"drivers/../x", "y"}))
	f.Add(pack(f))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		above := t.TempDir()
		dir := filepath.Join(above, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		drivers, _, err := driver.Unpack(t.Context(), bytes.NewReader(archive), int64(len(archive)), dir)
		if err != nil && sim.KindOf(err) != sim.Invalid {
			t.Fatal(err)
		}
		if err == nil && len(drivers) == 0 {
			t.Fatal("neither drivers nor an error")
		}
		if beside, err := os.ReadDir(above); err != nil || len(beside) != 1 {
			t.Fatalf("written outside: %v, %v", beside, err)
		}
	})
}
