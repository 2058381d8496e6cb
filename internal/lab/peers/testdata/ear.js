// What the telephones in a browser share: their state, and an ear for tones.
const lab = { joined: false, left: false, failed: '', ear: null, session: null };
const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false }; // a tone is noise to them
const say = (text) => console.log('lab: ' + text);

// hear plays what comes, muted, as the browser decodes no track that nobody plays.
const audio = new AudioContext();
function hear(connection) {
	if (!connection) return;
	connection.addEventListener('track', ({ track }) => {
		const stream = new MediaStream([track]);
		const element = document.createElement('audio');
		element.muted = true;
		element.autoplay = true;
		element.srcObject = stream;
		document.body.append(element);
		const ear = audio.createAnalyser();
		ear.fftSize = 32768;
		audio.createMediaStreamSource(stream).connect(ear);
		lab.ear = ear;
	});
}

// tone is the level of a frequency in dB below full scale, by Goertzel over the last 0.7 s.
function tone(ear, hz) {
	const x = new Float32Array(ear.fftSize);
	ear.getFloatTimeDomainData(x);
	const k = 2 * Math.cos(2 * Math.PI * hz / audio.sampleRate);
	let a = 0, b = 0;
	for (const v of x) { const c = v + k * a - b; b = a; a = c; }
	const power = (a * a + b * b - k * a * b) * 2 / (x.length * x.length);
	return power > 1e-12 ? 10 * Math.log10(power) : -120;
}

lab.state = (tones) => {
	const heard = {};
	for (const hz of lab.ear ? tones : []) heard[hz] = tone(lab.ear, hz);
	return { joined: lab.joined, left: lab.left, failed: lab.failed, people: { meeting: { tones: heard } } };
};
