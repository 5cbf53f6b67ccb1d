package dpe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/dpesim/dpesim/dpe/driver"
	"github.com/dpesim/dpesim/sim"
)

// CustomDrivers is where connectors of the organisation's own are, and what they must be. Bucket and archive are our
// assumption; the rest is the product's (seed, "How to deploy custom drivers?").
type CustomDrivers struct {
	Enabled bool
	SHA256  string // expected digest of the archive, hex; empty: not verified
	Bucket  string
	Archive string // key in the bucket
}

var digestPattern = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

// check returns Invalid for what cannot be meant.
func (d CustomDrivers) check() error {
	switch {
	case !d.Enabled:
		return nil
	case d.Bucket == "" || d.Archive == "":
		return cannotStart("custom drivers are enabled, but the bucket or the archive is not named")
	case d.SHA256 != "" && !digestPattern.MatchString(d.SHA256):
		return cannotStart("the digest of the custom drivers is not a SHA-256 in 64 hexadecimal digits").
			WithHelp("take customJdbcDrivers.sha256 from: openssl dgst -sha256 drivers.zip")
	}
	return nil
}

// loadDrivers fetches and unpacks the custom drivers, if there shall be any. While the object storage is out of reach it
// asks again and the engine is not ready; for what will not change by asking again it returns why the engine cannot
// start. It returns nil if it was told to stop.
func (e *engine) loadDrivers(ctx, stopping context.Context) error {
	if !e.CustomDrivers.Enabled {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(stopping, cancel)()
	for failures := 1; ; failures++ {
		loaded, err := e.fetchDrivers(ctx)
		switch {
		case err == nil:
			e.log.Info("custom drivers loaded", "custom_drivers", e.custom, "verified", e.CustomDrivers.SHA256 != "")
			e.health.set(partDrivers, up, "loaded", strings.Join(loaded, ", "))
			return nil
		case stopping.Err() != nil:
			return nil
		case ctx.Err() != nil || sim.KindOf(err) != sim.Unavailable:
			return err
		}
		pause := e.backoff("drivers", failures)
		e.health.set(partDrivers, down, "reason", explain(err))
		e.log.Warn("custom drivers not loaded", "err", err, "retry_in", pause.Round(time.Millisecond))
		if e.Clock.Sleep(ctx, pause) != nil {
			if stopping.Err() != nil {
				return nil
			}
			return context.Cause(ctx)
		}
	}
}

// fetchDrivers downloads the archive, verifies its digest and unpacks it into the scratch volume, where an earlier run
// of the container may have left another. It notes what was loaded, and describes it for people.
func (e *engine) fetchDrivers(ctx context.Context) (loaded []string, err error) {
	dir := filepath.Join(e.Scratch, "custom-drivers")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return nil, scratchError("the custom drivers", err)
	}
	f, err := os.CreateTemp(e.Scratch, "custom-drivers-*.zip")
	if err != nil {
		return nil, scratchError("the custom drivers", err)
	}
	defer func() {
		if x := errors.Join(f.Close(), os.Remove(f.Name())); err == nil && x != nil {
			err = scratchError("the custom drivers", x)
		}
	}()
	size, err := e.download(ctx, f)
	if err != nil {
		return nil, err
	}
	drivers, ignored, err := driver.Unpack(ctx, f, size, dir)
	if err != nil {
		return nil, err
	}
	if len(ignored) > 0 {
		e.log.Warn("the archive of custom drivers has entries that are not used", "entries", len(ignored), "first", ignored[0])
	}
	e.custom = nil
	for _, d := range drivers {
		e.custom = append(e.custom, d.Name)
		loaded = append(loaded, d.Name+" ("+d.Class+")")
	}
	return loaded, nil
}

// download writes the archive to f, gives its size, and makes sure that it is the expected one.
func (e *engine) download(ctx context.Context, f *os.File) (int64, error) {
	d := e.CustomDrivers
	body, err := e.open(ctx, d.Bucket, d.Archive)
	if sim.KindOf(err) == sim.NotFound && err != nil {
		x := sim.Errorf(sim.NotFound, "the DPE cannot start: the object storage has no archive %s of custom drivers in the bucket %s%s", d.Archive, d.Bucket, code(err)).
			WithHelp("upload it there, or set customJdbcDrivers.enabled to false")
		x.Err = err
		return 0, x
	}
	if err != nil {
		return 0, err
	}
	defer body.Close() //nolint:errcheck // what was read has been read
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, driver.MaxArchive+1))
	if _, ours := errors.AsType[*fs.PathError](err); ours {
		return 0, scratchError("the custom drivers", err)
	}
	switch got := hex.EncodeToString(sum.Sum(nil)); {
	case err != nil:
		return 0, err
	case size > driver.MaxArchive:
		return 0, cannotStart("the archive of custom drivers has more than 1 GiB").WithHelp("upload a smaller one: drivers have some MiB")
	case d.SHA256 != "" && !strings.EqualFold(d.SHA256, got):
		return 0, sim.Errorf(sim.Conflict, "the DPE refuses to start: the archive %s/%s of custom drivers is not the expected one: its SHA-256 is %s, customJdbcDrivers.sha256 says %s",
			d.Bucket, d.Archive, got, d.SHA256).
			WithHelp("find out who changed the archive; if it is the right one, put its digest into customJdbcDrivers.sha256")
	}
	return size, nil
}
