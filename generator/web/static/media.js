// The music among the system's players: on a lock screen, on a keyboard's keys, beside a telephone's silent switch.

const SILENCE_SECONDS = 10; // browsers pass over what is shorter than five
const RATE = 8000;
const ICON = new URL("icon.png", import.meta.url).href;

export class Media {
  constructor(music) {
    this.music = music;
    this.stage = music.stage;
    this.awake = () => this.wake();
    for (const event of ["visibilitychange", "pointerdown", "keydown"]) document.addEventListener(event, this.awake);
    const { audioSession } = /** @type {any} */ (navigator);
    if (audioSession) audioSession.type = "playback"; // sounds also when the telephone's switch is on silent
    if (!navigator.mediaSession) return;
    const { stage } = this;
    this.handle({
      play: () => stage.state !== "playing" && stage.play(),
      pause: () => stage.state === "playing" && stage.play(),
      stop: () => stage.stop(),
      nexttrack: () => music.radio.next(),
      previoustrack: () => stage.live && stage.back(),
    });
  }

  /** @param {Partial<Record<MediaSessionAction, MediaSessionActionHandler>>} actions */
  handle(actions) {
    for (const [action, handler] of Object.entries(actions)) {
      try {
        navigator.mediaSession.setActionHandler(/** @type {MediaSessionAction} */ (action), handler);
      } catch {
        // a browser need not know every action
      }
    }
  }

  /* A call or another app may have taken the sound away. */
  wake() {
    const { context } = this.music.synth;
    const isTaken = context && context.state !== "running" && context.state !== "closed";
    if (this.stage.state === "playing" && isTaken && !document.hidden) context.resume().catch(() => {});
  }

  tick() {
    const { state, live } = this.stage;
    const title = live?.title;
    if (this.shown === `${state} ${title}`) return;
    this.shown = `${state} ${title}`;
    this.sound(state === "playing");
    this.music.synth.context?.addEventListener("statechange", this.awake); // the same listener is added once
    if (!navigator.mediaSession || !live) return;
    const artwork = [{ src: ICON, sizes: "512x512", type: "image/png" }];
    navigator.mediaSession.metadata = new MediaMetadata({ title, artist: "Carousel", artwork });
    navigator.mediaSession.playbackState = { playing: "playing", paused: "paused" }[state] ?? "none";
    try {
      navigator.mediaSession.setPositionState({ duration: Infinity });
    } catch {
      // some browsers know no music without end
    }
  }

  /* Systems notice only what an <audio> element plays; so a silent one plays beside the music. */
  sound(isPlaying) {
    if (isPlaying && !this.audio) {
      this.audio = new Audio(URL.createObjectURL(silence()));
      this.audio.loop = true;
    }
    if (isPlaying) this.audio.play().catch(() => {}); // without a click it may not
    else this.audio?.pause();
  }

  close() {
    for (const event of ["visibilitychange", "pointerdown", "keydown"]) document.removeEventListener(event, this.awake);
    this.sound(false);
    if (this.audio) URL.revokeObjectURL(this.audio.src);
    if (!navigator.mediaSession) return;
    this.handle({ play: null, pause: null, stop: null, nexttrack: null, previoustrack: null });
    navigator.mediaSession.metadata = null;
    navigator.mediaSession.playbackState = "none";
  }
}

/* A WAV file of silence: 8 bits a sample, where 128 is the middle. */
function silence() {
  const frames = SILENCE_SECONDS * RATE;
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + frames, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channels
  header.setUint32(24, RATE, true);
  header.setUint32(28, RATE, true); // bytes a second
  header.setUint16(32, 1, true); // bytes a frame
  header.setUint16(34, 8, true); // bits a sample
  text(36, "data");
  header.setUint32(40, frames, true);
  return new Blob([header, new Uint8Array(frames).fill(128)], { type: "audio/wav" });
}
