package dpe_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/fault"
)

// driversZip is an archive of custom drivers.
func driversZip(t *testing.T) []byte {
	t.Helper()
	pack := func(files map[string]string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for name, text := range files {
			f, err := w.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	return pack(map[string]string{
		"drivers/configs/auroraPostgres/auroraPostgres.properties": "plugin.jdbcdatasource.ataccama.one.driver.aurora.driver-class=org.postgresql.Driver\n",
		"drivers/drivers/auroraPostgres/postgresql-42.4.1.jar":     string(pack(map[string]string{"org/postgresql/Driver.class": "x"})),
	})
}

// upload puts an archive where the engine looks for it, and enables custom drivers.
func (c *cloud) upload(archive []byte) {
	c.t.Helper()
	c.config.CustomDrivers = dpe.CustomDrivers{Enabled: true, Bucket: "custom-drivers", Archive: "drivers.zip"}
	if err := c.blobs.CreateBucket("custom-drivers"); err != nil {
		c.t.Fatal(err)
	}
	if archive == nil {
		return
	}
	if _, err := c.blobs.PutObject("custom-drivers", "drivers.zip", nil, bytes.NewReader(archive), int64(len(archive)), nil); err != nil {
		c.t.Fatal(err)
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestCustomDriversAreLoadedAndToldToDPM(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	archive := driversZip(t)
	c.upload(archive)
	c.config.CustomDrivers.SHA256 = strings.ToUpper(digest(archive))
	// A run before left something behind.
	old := filepath.Join(c.config.Scratch, "custom-drivers", "drivers", "drivers", "old")
	if err := os.MkdirAll(old, 0o700); err != nil {
		t.Fatal(err)
	}
	c.run()
	s, hello := c.stream()
	if want := []string{"driver:auroraPostgres", "job:profile", "source:csv"}; !slices.Equal(hello.GetCapabilities(), want) {
		t.Errorf("capabilities %q, want %q", hello.GetCapabilities(), want)
	}
	s.welcome()
	c.eventually(readiness, http.StatusOK, `"customDrivers":{"status":"UP","details":{"loaded":"auroraPostgres (org.postgresql.Driver)"}}`)
	if _, err := os.Stat(filepath.Join(c.config.Scratch, "custom-drivers", "drivers", "drivers", "auroraPostgres", "postgresql-42.4.1.jar")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("what an earlier run left is still there: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(c.config.Scratch, "*.zip")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	if !strings.Contains(c.logs.String(), "custom drivers loaded") || !strings.Contains(c.logs.String(), "verified=true") {
		t.Errorf("log:\n%s", c.logs)
	}
}

func TestEngineRefusesToStartWithTheWrongDrivers(t *testing.T) {
	t.Parallel()
	archive, other := driversZip(t), strings.Repeat("0", 64)
	for want, change := range map[string]func(*cloud){
		"the DPE refuses to start: the archive custom-drivers/drivers.zip of custom drivers is not the expected one: its SHA-256 is " + digest(archive) +
			", customJdbcDrivers.sha256 says " + other: func(c *cloud) { c.upload(archive); c.config.CustomDrivers.SHA256 = other },
		"the DPE cannot start: the object storage has no archive drivers.zip of custom drivers in the bucket custom-drivers (NoSuchKey)": func(c *cloud) { c.upload(nil) },
		"the DPE cannot start: the object storage has no archive drivers.zip of custom drivers in the bucket nowhere (NoSuchBucket)":     func(c *cloud) { c.upload(nil); c.config.CustomDrivers.Bucket = "nowhere" },
		"the archive of custom drivers cannot be used: it is no zip archive":                                                             func(c *cloud) { c.upload([]byte("hello")) },
		"the digest of the custom drivers is not a SHA-256":                                                                              func(c *cloud) { c.upload(archive); c.config.CustomDrivers.SHA256 = "abc" },
		"the bucket or the archive is not named":                                                                                         func(c *cloud) { c.upload(archive); c.config.CustomDrivers.Archive = "" },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			change(c)
			err := dpe.Run(t.Context(), c.config)
			if msg, help := sim.Explain(err); !strings.Contains(msg, want) || help == "" {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

func TestCustomDriversWaitForTheObjectStorage(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.upload(driversZip(t))
	c.config.Clock.Scale(5)
	faults := fault.New(c.config.Clock, c.config.Draw)
	c.config.Faults = faults
	if err := faults.Arm(fault.Fault{Name: "away", Point: dpe.FaultStorage, Err: sim.Errorf(sim.Unavailable, "maintenance")}); err != nil {
		t.Fatal(err)
	}
	c.run()
	c.eventually(readiness, http.StatusServiceUnavailable, `"customDrivers":{"status":"DOWN","details":{"reason":"the object storage cannot be reached to read custom-drivers/drivers.zip`)
	if status, _ := c.get("/actuator/health/liveness"); status != http.StatusOK {
		t.Errorf("liveness %d", status)
	}
	if err := faults.Disarm("away"); err != nil {
		t.Fatal(err)
	}
	c.welcomed().credits(2)
	if log := c.logs.String(); !strings.Contains(log, "custom drivers not loaded") || !strings.Contains(log, "custom drivers loaded") {
		t.Errorf("log:\n%s", log)
	}
}

func TestStopWhileDriversAreAwayEndsTheEngine(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.upload(driversZip(t))
	faults := fault.New(c.config.Clock, c.config.Draw)
	c.config.Faults = faults
	if err := faults.Arm(fault.Fault{Name: "slow", Point: dpe.FaultStorage, Delay: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	c.run()
	close(c.stop)
	if err := c.ended(); err != nil {
		t.Errorf("Run: %v", err)
	}
}
