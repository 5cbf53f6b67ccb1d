package dpe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"

	"github.com/dpesim/dpesim/dpe/profile"
	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/event"
)

// outcome is what a command came to.
type outcome struct {
	summary []byte // JSON, a few hundred bytes
	result  *dpmv1.ObjectReference
}

// perform does the work of a command.
func (e *engine) perform(ctx context.Context, c *dpmv1.Command) (outcome, error) {
	if err := e.Faults.At(ctx, FaultCommand, e.scope()); err != nil {
		return outcome{}, err
	}
	ctx = event.WithCause(ctx, c.GetCause())
	switch w := c.GetWork().(type) {
	case *dpmv1.Command_Profile:
		return e.profile(ctx, w.Profile)
	default:
		return outcome{}, sim.Errorf(sim.Invalid, "this engine does not know the command that DPM sent").
			WithHelp("upgrade the DPE to the release of the platform")
	}
}

// Report is the result of a profile job as it is stored in the object storage.
type Report struct {
	Bucket     string          `json:"bucket"`      // of the object that was profiled
	Key        string          `json:"key"`         // of the object that was profiled
	MaxRecords int64           `json:"max_records"` // 0: full profiling
	Profile    *profile.Result `json:"profile"`
}

// Summary is what an event says of a profile without the report.
type Summary struct {
	Rows       int64 `json:"rows"`
	Columns    int   `json:"columns"`
	Nulls      int64 `json:"nulls"`
	RaggedRows int64 `json:"ragged_rows"`
	Complete   bool  `json:"complete"` // every record was read
}

// profile reads a CSV object as a stream and stores its profile.
func (e *engine) profile(ctx context.Context, p *dpmv1.Profile) (outcome, error) {
	src := p.GetSource()
	body, err := e.open(ctx, src.GetBucket(), src.GetKey())
	if err != nil {
		return outcome{}, err
	}
	defer body.Close() //nolint:errcheck // what was read has been read
	sum := sha256.New()
	hold := e.memory.job()
	defer hold(0)
	res, err := profile.Profile(ctx, io.TeeReader(body, sum), profile.Options{MaxRecords: p.GetMaxRecords(), Memory: hold})
	if err != nil {
		return outcome{}, err
	}
	if err := checkDigest(src, sum, res.Complete); err != nil {
		return outcome{}, err
	}
	ref, err := e.store(ctx, p.GetTarget(), Report{Bucket: src.GetBucket(), Key: src.GetKey(), MaxRecords: p.GetMaxRecords(), Profile: res})
	if err != nil {
		return outcome{}, err
	}
	s := Summary{Rows: res.Rows, Columns: len(res.Columns), RaggedRows: res.Ragged, Complete: res.Complete}
	for _, c := range res.Columns {
		s.Nulls += c.Empty + c.NullTokens
	}
	text, err := json.Marshal(s)
	return outcome{summary: text, result: ref}, err
}

// checkDigest compares what was read with the digest that the command gave, if it gave one and all was read.
func checkDigest(src *dpmv1.ObjectReference, sum hash.Hash, complete bool) error {
	want := src.GetSha256()
	if want == "" || !complete || hex.EncodeToString(sum.Sum(nil)) == want {
		return nil
	}
	return sim.Errorf(sim.Conflict, "the object %s/%s is not the one that the job was made for: its SHA-256 differs", src.GetBucket(), src.GetKey()).
		WithHelp("submit the job again for the object as it is now")
}

// store writes v as JSON to a temporary file, uploads that, and returns the full reference.
func (e *engine) store(ctx context.Context, target *dpmv1.ObjectReference, v any) (ref *dpmv1.ObjectReference, err error) {
	if err := e.Faults.At(ctx, FaultScratch, e.scope()); err != nil {
		return nil, scratchError("the result", err)
	}
	f, err := os.CreateTemp(e.Scratch, "result-*.json")
	if err != nil {
		return nil, scratchError("the result", err)
	}
	defer func() {
		if e := errors.Join(f.Close(), os.Remove(f.Name())); err == nil && e != nil {
			ref, err = nil, scratchError("the result", e)
		}
	}()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), bytes.NewReader(append(text, '\n')))
	if err != nil {
		return nil, scratchError("the result", err)
	}
	if err := e.put(ctx, target.GetBucket(), target.GetKey(), "application/json", f); err != nil {
		return nil, err
	}
	return &dpmv1.ObjectReference{
		Bucket: target.GetBucket(), Key: target.GetKey(), Sha256: hex.EncodeToString(sum.Sum(nil)), SizeBytes: size,
	}, nil
}

// scratchError says that what cannot be written to the scratch volume, and why if it is full.
func scratchError(what string, err error) error {
	e := &sim.Error{Kind: sim.Unavailable, Msg: what + " cannot be written to the scratch volume", Help: "check the scratch volume of the pod", Err: err}
	if errors.Is(err, syscall.ENOSPC) {
		e.Msg, e.Help = "the scratch volume is full: "+e.Msg, "give the pod a larger one (scratch.size)"
	}
	return e
}
