// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import dev.nearfield.IndexSpec;
import dev.nearfield.TrainingReport;
import dev.nearfield.VectorIndexException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;

/**
 * Searches the definitions of WordNet by meaning. Exits with 0, with 1 when something failed, and
 * with 2 when the command line is wrong.
 */
public final class Demo {
  private final Options options;
  private final Sources sources;
  private final Streams streams;

  /** Loads while the index is being filled. */
  private final CompletableFuture<Embedder> embedder = new CompletableFuture<>();

  private @Nullable List<Definition> dictionary;

  private Demo(Options options, Sources sources, Streams streams) {
    this.options = options;
    this.sources = sources;
    this.streams = streams;
  }

  public static void main(String[] args) throws InterruptedException {
    Logger.getLogger("").setLevel(Level.SEVERE); // a fallback is named in every answer
    System.exit(run(args, Sources.ofMachine(), Streams.ofProcess()));
  }

  /** The exit status. */
  static int run(String[] args, Sources sources, Streams streams) throws InterruptedException {
    try {
      new Demo(Options.parse(args), sources, streams).run();
      return 0;
    } catch (UsageException e) {
      streams.messages().println(e.getMessage());
      return 2;
    } catch (VectorIndexException | IllegalStateException | IOException | UncheckedIOException e) {
      streams.messages().println("demo: " + e.getMessage());
      return 1;
    }
  }

  private void run() throws IOException, InterruptedException {
    if (options.export().isPresent()) {
      export(options.export().get());
      if (options.queries().isEmpty()) {
        return;
      }
    }
    try (DefinitionIndex index =
        new DefinitionIndex(
            sources.dimension(), options.backend(), options.spec(), options.recall())) {
      embedder.completeAsync(sources.embedder());
      load(index::add);
      if (options.spec() instanceof IndexSpec.Ivf) {
        train(index);
      }
      try (Output output =
          options.json()
              ? new JsonOutput(streams.out())
              : new TableOutput(streams.out(), streams.width())) {
        if (options.queries().isEmpty()) {
          answerInput(index, output);
        }
        for (String query : options.queries()) {
          output.print(answer(index, query));
        }
      }
    }
  }

  private void train(DefinitionIndex index) {
    TrainingReport report = index.train();
    streams
        .messages()
        .println(
            report.lists() == 0
                ? "%s has no lists: every search is exact".formatted(index.device())
                : String.format(
                    Locale.ROOT,
                    "Trained %,d lists in %.2f s",
                    report.lists(),
                    report.took().toNanos() / 1e9));
  }

  /** The vectors as they are searched, in the same order. */
  private void export(Path file) throws IOException, InterruptedException {
    embedder.completeAsync(sources.embedder());
    try (FbinFile out = FbinFile.create(file, sources.dimension())) {
      load((definitions, vectors) -> out.write(vectors));
      streams.messages().println("Wrote %,d vectors to %s".formatted(out.finish(), file));
    }
  }

  private void load(EmbeddingCache.Sink sink) throws IOException, InterruptedException {
    Corpus corpus =
        new Corpus(this::dictionary, this::embedder, streams.messages(), streams.redraw());
    try (EmbeddingCache cache = openCache()) {
      corpus.load(options.limit(), cache, sink);
    }
  }

  /** Null when there can be none: everything still works, from the start each time. */
  private @Nullable EmbeddingCache openCache() {
    try {
      return EmbeddingCache.open(
          sources.cache(),
          sources.version(),
          sources.dimension(),
          () -> dictionary().size(),
          () -> streams.messages().println("Waiting for another demo that is embedding"));
    } catch (IOException e) {
      streams.messages().println("demo: embeddings are not kept on disk: " + e);
      return null;
    }
  }

  private void answerInput(DefinitionIndex index, Output output) throws IOException {
    if (streams.prompt()) {
      streams.messages().println("Describe what you look for; an empty line ends.");
    }
    while (true) {
      if (streams.prompt()) {
        streams.messages().print("> ");
        streams.messages().flush();
      }
      String line = streams.in().readLine();
      if (line == null || (line.isBlank() && streams.prompt())) {
        break;
      }
      if (!line.isBlank()) {
        answerLine(index, output, line.strip());
      }
    }
  }

  private void answerLine(DefinitionIndex index, Output output, String query) throws IOException {
    try {
      output.print(answer(index, query));
    } catch (UsageException e) {
      if (!streams.prompt()) {
        throw e;
      }
      streams.messages().println(e.getMessage());
    }
  }

  private Answer answer(DefinitionIndex index, String query) {
    float[] vector;
    try {
      vector = embedder().vector(query);
    } catch (IllegalArgumentException e) {
      throw new UsageException("demo: the query '%s' has no words".formatted(query));
    }
    return index.search(query, vector, options.k());
  }

  private List<Definition> dictionary() {
    if (dictionary == null) {
      dictionary = sources.dictionary().get();
    }
    return dictionary;
  }

  private Embedder embedder() {
    try {
      return embedder.join();
    } catch (CompletionException e) {
      throw new IllegalStateException(e.getCause().getMessage(), e);
    }
  }
}
