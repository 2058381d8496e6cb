// Runs the page of a person in Chromium. Every 250 ms its state is a line of JSON on standard
// output; each line of standard input is run in the page, and its end ends all.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const { playwright, chromium, page: url, service, room, wav, tones } = JSON.parse(process.argv[2]);
const { default: pw } = await import(pathToFileURL(playwright));
const browser = await pw.chromium.launch({
	executablePath: chromium, headless: true,
	args: [
		'--no-sandbox', // the lab may run as root
		'--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
		'--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--use-file-for-fake-audio-capture=' + wav,
		'--autoplay-policy=no-user-gesture-required', '--allow-loopback-in-peer-connection',
	],
});
const page = await browser.newPage();
page.on('pageerror', (e) => console.error('page error', String(e)));
page.on('console', (m) => { if (m.type() === 'log' || m.type() === 'error') console.error(m.type(), m.text().slice(0, 400)); });

createInterface({ input: process.stdin })
	.on('line', (line) => page.evaluate(line).catch((e) => console.error(line, String(e))))
	.on('close', () => browser.close().finally(() => process.exit(0)));

await page.goto(url);
page.evaluate(([s, r]) => lab.join(s, r), [service, room]).catch((e) => console.error('join', String(e)));
try {
	for (;;) {
		console.log(JSON.stringify(await page.evaluate((t) => lab.state(t), tones)));
		await new Promise((ok) => setTimeout(ok, 250));
	}
} catch (e) {
	console.error('closed', String(e));
}
