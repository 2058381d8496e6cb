//go:build lab

package peers

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"jigasi/internal/archive"
	"jigasi/internal/audio"
	"jigasi/internal/deposit"
	"jigasi/internal/egress"
	"jigasi/internal/recording"
	"jigasi/internal/scribe"
	"jigasi/internal/transcript"
	"jigasi/internal/xlog"
)

// python runs a script with moto's libraries.
func python(t *testing.T, script string, args ...string) []byte {
	t.Helper()
	c := exec.Command(moto(t, "python3"), append([]string{"-c", script}, args...)...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	return out
}

// moto is a program that make lab-install has put beside moto.
func moto(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../../.cache/lab/moto/bin/" + name)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("moto is missing: run make lab-install (%v)", err)
	}
	return path
}

// listening waits until somebody listens at a port.
func listening(t *testing.T, port int) {
	t.Helper()
	until(t, 60*time.Second, "a server at "+strconv.Itoa(port), func() bool {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func until(t *testing.T, limit time.Duration, what string, f func() bool) {
	t.Helper()
	end := time.Now().Add(limit)
	for !f() {
		if time.Now().After(end) {
			t.Fatalf("%s: not in %v", what, limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

const makeBucket = `
import boto3, json, sys
at = dict(endpoint_url=sys.argv[1], region_name="eu-central-1", aws_access_key_id="nobody", aws_secret_access_key="nothing")
iam = boto3.client("iam", **at)
iam.create_user(UserName="jigasi")
key = iam.create_access_key(UserName="jigasi")["AccessKey"]
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
iam.put_user_policy(UserName="jigasi", PolicyName="p", PolicyDocument=json.dumps(allow))
boto3.client("s3", **at).create_bucket(Bucket="words", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
print(json.dumps({"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}))
`

const readBucket = `
import boto3, json, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1], region_name="eu-central-1", aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])
out = {}
for o in s3.list_objects_v2(Bucket="words").get("Contents", []):
    got = s3.get_object(Bucket="words", Key=o["Key"])
    out[o["Key"]] = got["ContentType"] + " " + got["Body"].read().decode("latin-1")
print(json.dumps(out))
`

// keep keeps a meeting with a sentence in it.
func keep(t *testing.T, o archive.Options) (*archive.Archive, *archive.Session) {
	t.Helper()
	client, err := egress.New(egress.Options{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	o.Client = client
	a, err := archive.New(o)
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	s := a.Open("standup@conf", time.Now())
	so := scribe.Options{Room: "standup@conf"}
	s.Attach(&so)
	sc := scribe.New(so)
	sc.Note(transcript.Join, transcript.Person{ID: "a", Name: "Zoë & friends"}, time.Now())
	if err := sc.Close(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a, s
}

func closeArchive(t *testing.T, a *archive.Archive) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := a.Close(ctx); err != nil {
		t.Error(err)
	}
}

// TestCopiesToS3: a store that is away when a meeting ends gets all of it when the gateway starts again; it checks every
// signature, and what is erased here is erased there.
func TestCopiesToS3(t *testing.T) {
	port := freePorts(t, 1)
	url := "http://127.0.0.1:" + strconv.Itoa(port)
	dir := t.TempDir()
	client, err := egress.New(egress.Options{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	bucket := func(id, secret string) *deposit.S3 {
		s, err := deposit.NewS3(deposit.S3Options{Endpoint: url, Region: "eu-central-1", Bucket: "words", Prefix: "meetings/of us", KeyID: id, Secret: xlog.Secret(secret), Client: client})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, s := keep(t, archive.Options{Dir: dir, Forms: []string{"txt", "json"}, Places: []archive.Place{bucket("id", "secret")}})
	until(t, 20*time.Second, "a first try", func() bool { return a.Counts().CopyErrors.Load() > 0 })
	closeArchive(t, a)

	t.Setenv("INITIAL_NO_AUTH_ACTION_COUNT", "4") // those of makeBucket; all others are checked
	child(t, moto(t, "moto_server"), "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	listening(t, port)
	var key struct{ ID, Secret string }
	if err := json.Unmarshal(python(t, makeBucket, url), &key); err != nil {
		t.Fatal(err)
	}
	if err := bucket(key.ID, "wrong").Delete(t.Context(), "a", "b"); err == nil || !strings.Contains(err.Error(), "403, SignatureDoesNotMatch") {
		t.Fatalf("a wrong signature: %v", err)
	}
	a, err = archive.New(archive.Options{Dir: dir, Forms: []string{"txt", "json"}, Places: []archive.Place{bucket(key.ID, key.Secret)}})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	defer closeArchive(t, a)
	until(t, 30*time.Second, "copies", func() bool { return a.Counts().Copied.Load() == 3 && a.Counts().Waiting.Load() == 0 })
	stored := func() map[string]string {
		out := map[string]string{}
		if err := json.Unmarshal(python(t, readBucket, url, key.ID, key.Secret), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	got := stored()
	files, _ := filepath.Glob(filepath.Join(dir, s.Name(), "transcript_*"))
	if len(files) != 3 || len(got) != 3 {
		t.Fatalf("%v stored of %v", got, files)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kind, text, _ := strings.Cut(strings.ReplaceAll(got["meetings/of us/"+s.Name()+"/"+filepath.Base(path)], "; charset", ";charset"), " ")
		latin := make([]rune, len(b))
		for i, c := range b {
			latin[i] = rune(c)
		}
		if text != string(latin) || !strings.HasPrefix(kind, "text/plain") && !strings.HasPrefix(kind, "application/json") {
			t.Errorf("%s: %s %s", path, kind, text)
		}
	}
	if err := a.Erase(t.Context(), s.Name()); err != nil || len(stored()) != 0 {
		t.Error(err, "it is still there")
	}
}

// apache runs a WebDAV server with one login and gives its URL and where its files are.
func apache(t *testing.T, port int) (url, files string) {
	t.Helper()
	need(t, "apache2")
	dir, err := os.MkdirTemp("", "dav")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	files = filepath.Join(dir, "www")
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	who := ""
	if os.Getuid() == 0 { // it does not serve as root
		who = "User nobody\nGroup nogroup\n"
		for _, d := range []string{dir, files} {
			if err := os.Chown(d, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	sum := sha1.Sum([]byte("secret words"))
	var load strings.Builder
	for _, m := range []string{"mpm_worker", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "mime", "dav", "dav_fs"} {
		fmt.Fprintf(&load, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	conf := load.String() + who + fmt.Sprintf(`ServerRoot %[1]s
ServerName localhost
Listen 127.0.0.1:%[2]d
PidFile %[1]s/pid
ErrorLog %[1]s/log
TypesConfig /dev/null
DocumentRoot %[1]s/www
DavLockDB %[1]s/www/.lock
<Directory %[1]s/www>
	Dav On
	AuthType Basic
	AuthName dav
	AuthUserFile %[1]s/users
	Require valid-user
</Directory>
`, dir, port)
	for name, text := range map[string]string{"conf": conf, "users": "jigasi:{SHA}" + base64.StdEncoding.EncodeToString(sum[:]) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	child(t, "apache2", "-f", filepath.Join(dir, "conf"), "-DFOREGROUND")
	listening(t, port)
	return "http://127.0.0.1:" + strconv.Itoa(port) + "/", files
}

// TestCopiesByWebDAV: to Apache, with a login, and erased again.
func TestCopiesByWebDAV(t *testing.T) {
	url, files := apache(t, freePorts(t, 1))
	client, err := egress.New(egress.Options{Allow: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	login := func(password string) *deposit.WebDAV {
		d, err := deposit.NewWebDAV(deposit.WebDAVOptions{URL: url, User: "jigasi", Password: xlog.Secret(password), Client: client})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := login("wrong").Put(t.Context(), "a", "b", bytes.NewReader(nil), 0); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong password: %v", err)
	}
	dir := t.TempDir()
	a, s := keep(t, archive.Options{Dir: dir, Forms: []string{"txt", "vtt"}, Places: []archive.Place{login("secret words")}})
	defer closeArchive(t, a)
	until(t, 30*time.Second, "copies", func() bool { return a.Counts().Copied.Load() == 3 && a.Counts().Waiting.Load() == 0 })
	ours, _ := filepath.Glob(filepath.Join(dir, s.Name(), "transcript_*"))
	for _, path := range ours {
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(files, s.Name(), filepath.Base(path))); err != nil || !bytes.Equal(got, want) {
			t.Error(err, string(got))
		}
	}
	if err := a.Erase(t.Context(), s.Name()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(files, s.Name(), "*")); len(ours) != 3 || len(left) != 0 {
		t.Error(ours, left)
	}
}

// TestRecordingsAreReadByOthers: by the tools of Opus and by sox, also after the recorder was cut off.
func TestRecordingsAreReadByOthers(t *testing.T) {
	need(t, "opusinfo")
	need(t, "sox")
	dir := t.TempDir()
	start := time.Now().Add(-6 * time.Second)
	for _, format := range []string{"opus", "wav"} {
		r := recording.New(recording.Options{Format: format, Speakers: true, Dir: dir, Name: "r", Start: start})
		track := r.Track("a", "Alice")
		tone, pcm := audio.NewTone(440, recording.Rate, -20), make([]int16, recording.Frame)
		for at := 2 * time.Second; at < 6*time.Second; at += 20 * time.Millisecond {
			tone.Fill(pcm)
			track.Push(pcm, start.Add(at))
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(dir, "r.jsonl"))
	}
	opus, wav := filepath.Join(dir, "r_1.opus"), filepath.Join(dir, "r_1.wav")
	out, err := exec.Command("opusinfo", opus).CombinedOutput()
	if err != nil || strings.Contains(string(out), "WARNING") || !strings.Contains(string(out), "Playback length: 0m:06") && !strings.Contains(string(out), "Playback length: 0m:05.9") {
		t.Errorf("%v\n%s", err, out)
	}
	whole, err := os.ReadFile(opus)
	if err != nil {
		t.Fatal(err)
	}
	cut, decoded := filepath.Join(dir, "cut.opus"), filepath.Join(dir, "cut.wav")
	if err := os.WriteFile(cut, whole[:len(whole)*9/10], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("opusdec", "--quiet", "--rate", "16000", "--force-wav", cut, decoded).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	copied := filepath.Join(dir, "copied.wav")
	if out, err := exec.Command("sox", wav, copied).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range []string{decoded, copied} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		pcm, rate, err := audio.ReadWAV(f)
		_ = f.Close()
		if err != nil || rate != recording.Rate || len(pcm) < 4*rate {
			t.Fatal(path, rate, len(pcm), err)
		}
		if audio.Goertzel(pcm[rate/2:3*rate/2], 440, rate) > -40 || audio.Goertzel(pcm[3*rate:4*rate], 440, rate) < -30 {
			t.Errorf("%s: the tone is not in its place", path)
		}
	}
}
