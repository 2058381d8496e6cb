//go:build lab

package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scene is a sipp scenario that is being written. Methods append one step each.
type scene struct {
	text   strings.Builder
	step   int
	cseq   int
	invite int // step of the last INVITE
	vars   int
	tag    string // of sipp where it is called
	called bool   // sipp waits for a call
	port   int    // of sipp; 0 is any
	room   string
}

// newScene begins a scenario in which sipp calls into a room.
func newScene(room string) *scene { return &scene{room: room} }

// newCalled begins one in which sipp is called.
func newCalled() *scene {
	return (&scene{called: true, tag: "one"}).kept(`request="INVITE" rrs="true"`)
}

// kept takes a request and keeps its headers for responds.
func (s *scene) kept(what string) *scene {
	keep := func(header string) string {
		return fmt.Sprintf(`<ereg regexp="[^ ].*" search_in="hdr" header="%s:" check_it="true" assign_to="%s"/>`, header, header)
	}
	return s.raw(`<recv %s><action>%s%s%s%s</action></recv>`, what, keep("Via"), keep("CSeq"), keep("From"), keep("To"))
}

// responds answers the request that was kept: the INVITE by which sipp was called, or another.
func (s *scene) responds(status, sdp string, headers ...string) *scene {
	to := "To: [$To]"
	if s.tag != "" {
		to += ";tag=" + s.tag
	}
	head := append([]string{"SIP/2.0 " + status, "Via: [$Via]", "From: [$From]", to, "Call-ID: [call_id]", "CSeq: [$CSeq]"}, headers...)
	if !strings.Contains(strings.Join(headers, ""), "Contact:") {
		head = append(head, "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>")
	}
	if sdp != "" {
		head = append(head, "Content-Type: application/sdp")
	}
	head = append(head, "Content-Length: [len]")
	return s.raw("<send><![CDATA[\n%s\n\n%s]]></send>", strings.Join(head, "\n"), sdp)
}

// as has sipp answer under another tag: another fork of the call. "" is for requests that have one.
func (s *scene) as(tag string) *scene {
	s.tag = tag
	return s
}

func (s *scene) raw(format string, a ...any) *scene {
	fmt.Fprintf(&s.text, format+"\n", a...)
	s.step++
	return s
}

// description is an SDP of sipp: PCMU and events, and more lines.
func description(more ...string) string {
	return "v=0\no=sipp 1 1 IN IP[local_ip_type] [local_ip]\ns=-\nc=IN IP[media_ip_type] [media_ip]\nt=0 0\n" +
		"m=audio [media_port] RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\n" + strings.Join(append(more, ""), "\n")
}

// replace is a description with one word in place of another.
func replace(sdp, old, new string) string { return strings.Replace(sdp, old, new, 1) }

// message is what differs between requests.
type message struct {
	method  string
	branch  string   // "" a new one
	headers []string // more of them
	sdp     string
	body    string // of another type, which headers names
	to      string // tag of To, with its semicolon; "" as it is known
	outside bool   // out of a dialog
	again   bool   // with the number of the last request
	quiet   bool   // not repeated
}

func (s *scene) send(m message) *scene {
	if m.method == "INVITE" {
		s.invite = s.step
	}
	switch {
	case m.method == "ACK" || m.method == "CANCEL" || m.again:
	default:
		s.cseq++
	}
	uri, to := "[next_url]", "[peer_tag_param]"
	if m.outside {
		uri, to = "sip:[service]@[remote_ip]:[remote_port]", ""
	}
	if m.to != "" {
		to = m.to
	}
	if m.branch == "" {
		m.branch = "[branch]"
	}
	retrans := ` retrans="500"`
	if m.method == "ACK" || m.quiet {
		retrans = ""
	}
	from, remote := `"sipp" <sip:+49301234@[local_ip]:[local_port]>;tag=[pid]-[call_number]`, `<sip:[service]@[remote_ip]:[remote_port]>`+to
	head := []string{
		m.method + " " + uri + " SIP/2.0", "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=" + m.branch, "From: " + from, "To: " + remote,
		"Call-ID: [call_id]", fmt.Sprintf("CSeq: %d %s", s.cseq, m.method), "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>", "Max-Forwards: 70",
	}
	if m.outside && m.method == "INVITE" {
		head = append(head, "Jitsi-Conference-Room: "+s.room)
	}
	head = append(head, m.headers...)
	body := m.body
	if m.sdp != "" {
		head, body = append(head, "Content-Type: application/sdp"), m.sdp
	}
	head = append(head, "Content-Length: [len]")
	return s.raw("<send%s><![CDATA[\n%s\n\n%s]]></send>", retrans, strings.Join(head, "\n"), body)
}

// invited sends the INVITE of a new call.
func (s *scene) invited(headers ...string) *scene {
	return s.send(message{method: "INVITE", outside: true, sdp: description(), headers: headers})
}

// rings takes provisional responses, if they come.
func (s *scene) rings() *scene {
	return s.raw(`<recv response="100" optional="true"/>`).raw(`<recv response="180" optional="true"/>`)
}

// status takes a response, which has to hold what each of the expressions says.
func (s *scene) status(code int, body ...string) *scene {
	return s.recv(fmt.Sprintf(`response="%d" rrs="true" timeout="20000"`, code), body...)
}

// tagged takes a 200 and keeps the tag of the gateway as the variable tag.
func (s *scene) tagged() *scene {
	return s.raw(`<recv response="200" rrs="true" timeout="20000"><action>` +
		`<ereg regexp=";tag=.*" search_in="hdr" header="To:" check_it="true" assign_to="tag"/></action></recv>`)
}

func (s *scene) recv(what string, body ...string) *scene {
	if len(body) == 0 {
		return s.raw("<recv %s/>", what)
	}
	var actions, vars []string
	for _, b := range body {
		s.vars++
		actions = append(actions, fmt.Sprintf(`<ereg regexp="%s" search_in="msg" check_it="true" assign_to="v%d"/>`, b, s.vars))
		vars = append(vars, fmt.Sprint("v", s.vars))
	}
	return s.raw("<recv %s><action>%s</action></recv>\n<Reference variables=\"%s\"/>", what, strings.Join(actions, ""), strings.Join(vars, ","))
}

// ack acknowledges a 2xx; acknowledge refuses what was refused.
func (s *scene) ack(sdp string) *scene { return s.send(message{method: "ACK", sdp: sdp}) }

// acknowledge acknowledges a refusal of the last INVITE.
func (s *scene) acknowledge(outside bool) *scene {
	return s.send(message{method: "ACK", branch: fmt.Sprintf("[branch-%d]", s.step-s.invite), outside: outside, to: "[peer_tag_param]"})
}

// cancel cancels the last INVITE.
func (s *scene) cancel() *scene {
	return s.send(message{method: "CANCEL", branch: fmt.Sprintf("[branch-%d]", s.step-s.invite), outside: true})
}

// up calls, and is answered.
func (s *scene) up(headers ...string) *scene {
	return s.invited(headers...).rings().status(200).ack("")
}

func (s *scene) bye() *scene { return s.send(message{method: "BYE"}).status(200) }

func (s *scene) pause(ms int) *scene { return s.raw(`<pause milliseconds="%d"/>`, ms) }

// says plays a file of encoded sound, again and again.
func (s *scene) says(file string, pt int, codec string) *scene {
	return s.raw(`<nop><action><exec rtp_stream="%s,-1,%d,%s"/></action></nop>`, file, pt, codec)
}

// asked takes a request of the gateway, and answers it with a status.
func (s *scene) asked(method string, status string, more ...string) *scene {
	return s.recv(fmt.Sprintf(`request="%s" rrs="true" timeout="100000"`, method)).reply(status, "", more...)
}

// reply answers the request that came last.
func (s *scene) reply(status, sdp string, headers ...string) *scene {
	head := append([]string{"SIP/2.0 " + status, "[last_Via:]", "[last_Record-Route:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]",
		"Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"}, headers...)
	if sdp != "" {
		head = append(head, "Content-Type: application/sdp")
	}
	head = append(head, "Content-Length: [len]")
	return s.raw("<send><![CDATA[\n%s\n\n%s]]></send>", strings.Join(head, "\n"), sdp)
}

// file writes the scenario.
func (s *scene) file(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "scene.xml")
	text := `<?xml version="1.0" encoding="ISO-8859-1" ?>` + "\n<scenario name=\"" + filepath.Base(t.Name()) + "\">\n" + s.text.String() + "</scenario>\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// play runs the scenario as a call to the gateway, and fails the test where it does not go as written.
func (s *scene) play(t *testing.T, g *gateway, args ...string) {
	t.Helper()
	run := s.begin(t, g, args...)
	if err := run.Wait(); err != nil {
		t.Errorf("sipp: %v\n%s", err, run.said())
	}
}

// sippRun is a sipp that runs.
type sippRun struct {
	*exec.Cmd
	port   int
	out    *strings.Builder
	errors string
}

// said is the end of what sipp wrote, and what it found wrong.
func (r *sippRun) said() string {
	text, _, _ := strings.Cut(r.out.String(), "---- Statistics Screen")
	wrong, _ := os.ReadFile(r.errors) // there is none if nothing was wrong
	return text[max(0, len(text)-1500):] + string(wrong[:min(len(wrong), 4000)])
}

// begin starts the scenario; the caller waits for its end.
func (s *scene) begin(t *testing.T, g *gateway, args ...string) *sippRun {
	t.Helper()
	ip := "127.0.0.1"
	if strings.HasPrefix(g.sip, "[") {
		ip = "::1"
	}
	media := freePorts(t, 4)
	dir := t.TempDir()
	port := s.port
	if port == 0 {
		port = freePorts(t, 1)
	}
	base := []string{"-sf", s.file(t), "-i", ip, "-mi", ip, "-p", fmt.Sprint(port), "-mp", fmt.Sprint(media), "-nostdin", "-m", "1",
		"-timeout", "150s", "-timeout_error", "-trace_err", "-error_file", filepath.Join(dir, "errors")}
	if !s.called {
		base = append([]string{g.sip, "-s", "room"}, base...)
	}
	r := &sippRun{port: port, Cmd: exec.Command(need(t, "sipp"), append(base, args...)...), out: &strings.Builder{}, errors: filepath.Join(dir, "errors")}
	r.Stdout, r.Stderr = r.out, r.out
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Process.Kill() }) // where the test did not wait for it
	return r
}
