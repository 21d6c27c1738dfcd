"""The list of commands."""

COMMANDS = """Carousel: endless music and text from a stateful LSTM.

  python -m generator.prepare  CORPUS                          tokens of a corpus, ready for training
  python -m generator.train    CORPUS --out checkpoints/NAME   train a checkpoint
  python -m generator.join     CORPUS MEMBER… --out FOLDER     trained apart, joined into one
  python -m generator.sample   checkpoints/NAME                stream from it, to the screen or a file
  python -m generator.evaluate checkpoints/NAME CORPUS         how well it predicts, as JSON
  python -m generator.bench    checkpoints/NAME                how fast it streams, as JSON
  streamlit run app.py                                         the app

Each shows its options and an example with --help."""

if __name__ == "__main__":
    print(COMMANDS)
