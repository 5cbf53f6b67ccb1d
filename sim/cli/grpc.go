package cli

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	dpmv1 "github.com/dpesim/dpesim/dpm/v1"
	"github.com/dpesim/dpesim/sim"
	"github.com/dpesim/dpesim/sim/clock"
	"github.com/dpesim/dpesim/sim/jwk"
)

func newGRPCCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "grpc", Short: "Call DPM as an engine does, with JSON in and out",
		Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newGRPCListCommand(a), newGRPCDescribeCommand(a), newGRPCCallCommand(a))
	return cmd
}

// rpc is one method of DPM.
type rpc struct {
	Method  string `json:"method"` // SERVICE/METHOD
	Request string `json:"request"`
	Answer  string `json:"answer"`
	Streams string `json:"streams"` // none, requests, answers, both

	desc protoreflect.MethodDescriptor
}

// rpcs lists what DPM serves.
func rpcs() (list []rpc) {
	for _, file := range []protoreflect.FileDescriptor{dpmv1.File_dpm_proto, grpc_health_v1.File_grpc_health_v1_health_proto} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				m := methods.Get(j)
				streams := "none"
				switch {
				case m.IsStreamingClient() && m.IsStreamingServer():
					streams = "both"
				case m.IsStreamingClient():
					streams = "requests"
				case m.IsStreamingServer():
					streams = "answers"
				}
				list = append(list, rpc{
					Method:  string(m.Parent().FullName()) + "/" + string(m.Name()),
					Request: string(m.Input().FullName()), Answer: string(m.Output().FullName()), Streams: streams, desc: m,
				})
			}
		}
	}
	return list
}

func newGRPCListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the methods that DPM serves", Args: noArgs}
	output := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		list := rpcs()
		return output.print(a.Stdout, list, func(w *tabwriter.Writer) {
			row(w, "METHOD", "STREAMS", "REQUEST", "ANSWER")
			for _, m := range list {
				row(w, m.Method, m.Streams, m.Request, m.Answer)
			}
		})
	}
	return cmd
}

func newGRPCDescribeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "describe [NAME]", Short: "Print DPM's contract, or a message, an enumeration or a service of it",
		Example: "  dpesim grpc describe Hello",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(fmt.Errorf("%s takes at most one name, got %q", cmd.CommandPath(), args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			text := dpmv1.Source
			if len(args) == 1 {
				name := args[0][strings.LastIndexAny(args[0], "./")+1:]
				// A declaration at the beginning of a line, with the comment above it, up to the brace that ends it.
				text = regexp.MustCompile(`(?m)(^//.*\n)*^(message|enum|service) ` + regexp.QuoteMeta(name) + ` \{\n(.*\n)*?\}\n`).FindString(text)
			}
			if text == "" {
				return usage(sim.Errorf(sim.NotFound, "DPM's contract has no %q", args[0]).WithHelp("'dpesim grpc describe' prints all of it"))
			}
			_, err := io.WriteString(a.Stdout, text)
			return err
		},
	}
}

// grpcCall is what `grpc call` is told.
type grpcCall struct {
	values, environment string
	data                string
	status              string
	messages            int
	timeout             time.Duration
}

func newGRPCCallCommand(a *app) *cobra.Command {
	var g grpcCall
	cmd := &cobra.Command{
		Use: "call METHOD", Short: "Call a method of a DPM",
		Long: `Call a method of a DPM, with JSON in and out. --data holds the requests, one JSON value after the other; each answer is printed in a line.

With --values it is called as the DPE with that values file calls it: at its endpoint, with a token signed by its key. With --environment it is called
without any.`,
		Example: `  dpesim grpc call grpc.health.v1.Health/Check --environment acme
  dpesim dpe values acme finance > values.yaml
  dpesim grpc call EngineService/Connect --values values.yaml --messages 1 \
    -d '{"hello": {"label": "finance", "replica": "me", "version": "15.3.0", "slots": 1}}'
  dpesim grpc call EngineService/Connect --values revoked.yaml --status PermissionDenied`,
		Args: exactArgs(1),
	}
	fl := cmd.Flags()
	fl.StringVar(&g.values, "values", "", valuesHelp)
	fl.StringVar(&g.environment, "environment", "", "environment whose DPM to call, without a token")
	fl.StringVarP(&g.data, "data", "d", "", "requests as JSON: text, @FILE, or @- for the standard input (default: an empty one, or none to a stream)")
	fl.StringVar(&g.status, "status", "", "succeed with this gRPC status, as PermissionDenied, and no other")
	fl.IntVar(&g.messages, "messages", 0, "end after so many answers; 0: when DPM ends the call")
	fl.DurationVar(&g.timeout, "timeout", 30*time.Second, "how long the whole may take")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if (g.values == "") == (g.environment == "") {
			return usage(errors.New("which DPM: name a values file (--values) or an environment (--environment), and not both"))
		}
		methods := rpcs()
		i := slices.IndexFunc(methods, func(m rpc) bool {
			name := strings.TrimPrefix(args[0], "/")
			return m.Method == name || strings.HasSuffix(m.Method, "."+name)
		})
		if i < 0 {
			return usage(sim.Errorf(sim.NotFound, "DPM serves no method %q", args[0]).WithHelp("see 'dpesim grpc list'; write it as SERVICE/METHOD"))
		}
		requests, err := a.grpcRequests(&g, methods[i].desc)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), g.timeout)
		defer cancel()
		conn, err := a.grpcDial(ctx, &g)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // the call is over
		err = a.grpcCall(ctx, conn, methods[i], requests, g.messages)
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		return a.grpcVerdict(methods[i], err, g.status)
	}
	return cmd
}

// grpcRequests reads the requests that --data holds.
func (a *app) grpcRequests(g *grpcCall, m protoreflect.MethodDescriptor) (requests []*dynamicpb.Message, err error) {
	text, err := a.httpBody(g.data)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 && !m.IsStreamingClient() {
		text = []byte("{}")
	}
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var one json.RawMessage
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, usage(sim.Errorf(sim.Invalid, "the requests are no JSON: %v", err))
		}
		msg := dynamicpb.NewMessage(m.Input())
		if err := protojson.Unmarshal(one, msg); err != nil {
			return nil, usage(sim.Errorf(sim.Invalid, "request %d is no %s: %v", len(requests)+1, m.Input().Name(), err).
				WithHelp("'dpesim grpc describe %s' tells its fields", m.Input().Name()))
		}
		requests = append(requests, msg)
	}
	if len(requests) != 1 && !m.IsStreamingClient() {
		return nil, usage(sim.Errorf(sim.Invalid, "%s takes one request, not %d", m.Name(), len(requests)))
	}
	return requests, nil
}

// grpcDial prepares the connection to DPM.
func (a *app) grpcDial(ctx context.Context, g *grpcCall) (*grpc.ClientConn, error) {
	c, known := a.client()
	var address, what string
	var ca []byte
	options := []grpc.DialOption{
		grpc.WithUserAgent("dpesim"),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dialLocalhost(ctx, "tcp", addr) }),
	}
	if g.values == "" {
		if known != nil {
			return nil, known
		}
		env, err := c.Environment(ctx, sim.EnvironmentID(g.environment))
		if err != nil {
			return nil, err
		}
		address, ca, what = env.Endpoints.DPM, []byte(env.Endpoints.CA), "the environment's CA"
	} else {
		v, err := a.valuesFile(g.values)
		if err != nil {
			return nil, err
		}
		key, err := jwk.Parse(v.Key)
		if err != nil {
			return nil, usage(err)
		}
		address, ca, what = v.DPMURL, v.CA, "ca of "+g.values
		now := clock.New().Now()
		if known == nil {
			if k, err := c.Clock(ctx); err == nil { // DPM judges tokens by the simulator's clock
				now = k.Now
			}
		}
		options = append(options, grpc.WithPerRPCCredentials(signer{key, v.Label, now}))
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, sim.Errorf(sim.Unavailable, "there is no DPM at %q", address).WithHelp("wait until the environment is ready")
	}
	roots, err := rootsOf(ca, what)
	if err != nil {
		return nil, err
	}
	options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(transport(roots).TLSClientConfig)))
	return grpc.NewClient("passthrough:///"+net.JoinHostPort(u.Hostname(), portOfURL(u)), options...)
}

// signer makes the token of a call, as an engine does.
type signer struct {
	key   *ecdsa.PrivateKey
	label sim.Label
	now   time.Time
}

// GetRequestMetadata gives the token for the host that is called.
func (s signer) GetRequestMetadata(_ context.Context, uri ...string) (map[string]string, error) {
	u, err := url.Parse(uri[0])
	if err != nil {
		return nil, err
	}
	token, err := jwk.Sign(s.key, s.label, u.Hostname(), s.now, 5*time.Minute)
	if err != nil {
		return nil, status.Error(codes.Internal, "the JWT cannot be signed")
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity keeps tokens off connections without TLS.
func (signer) RequireTransportSecurity() bool { return true }

// grpcCall sends the requests and prints the answers until DPM ends the call, or there were enough.
func (a *app) grpcCall(ctx context.Context, conn *grpc.ClientConn, m rpc, requests []*dynamicpb.Message, enough int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.desc.IsStreamingClient(), ServerStreams: m.desc.IsStreamingServer()}, "/"+m.Method)
	if err != nil {
		return err
	}
	for _, r := range requests {
		if err := stream.SendMsg(r); err != nil {
			break // why, RecvMsg tells
		}
	}
	if enough == 0 { // else DPM could end the call before it has answered
		if err := stream.CloseSend(); err != nil {
			return err
		}
	}
	for n := 1; ; n++ {
		answer := dynamicpb.NewMessage(m.desc.Output())
		if err := stream.RecvMsg(answer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		text, err := protojson.Marshal(answer)
		if err != nil {
			return err
		}
		var line bytes.Buffer // protojson's own spaces are random
		if err := json.Compact(&line, text); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.Stdout, line.String()); err != nil {
			return err
		}
		if n == enough || !m.desc.IsStreamingServer() {
			return nil
		}
	}
}

// grpcVerdict tells whether a call ended as it was wanted to.
func (a *app) grpcVerdict(m rpc, err error, want string) error {
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	name := s.Code().String()
	switch {
	case want == "" && s.Code() == codes.OK:
		return nil
	case want == "":
		return &sim.Error{Kind: sim.Unavailable, Msg: fmt.Sprintf("%s: DPM answers %s: %s", m.Method, name, s.Message()), Err: err}
	case !strings.EqualFold(want, name):
		return fmt.Errorf("%s: the status is %s, not %s", m.Method, strings.TrimSuffix(name+": "+s.Message(), ": "), want)
	case s.Code() != codes.OK:
		fmt.Fprintf(a.Stdout, "%s: %s\n", name, s.Message())
	}
	return nil
}
