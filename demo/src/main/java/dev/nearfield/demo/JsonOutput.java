// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.OutputStream;
import java.util.List;

/**
 * One array, in UTF-8, of {query, hits: [{distance, score, word, definition}], device, millis,
 * listsScanned, recallEstimate, recall}, the last three null where there are no lists.
 */
final class JsonOutput implements Output {
  private final JsonGenerator json;

  JsonOutput(OutputStream out) throws IOException {
    json = new JsonFactory().createGenerator(out).useDefaultPrettyPrinter();
    json.writeStartArray();
  }

  @Override
  public void print(Answer answer) throws IOException {
    json.writeStartObject();
    json.writeStringField("query", answer.query());
    json.writeArrayFieldStart("hits");
    for (Answer.Hit hit : answer.hits()) {
      json.writeStartObject();
      json.writeNumberField("distance", hit.distance());
      json.writeNumberField("score", hit.score());
      json.writeStringField("word", hit.definition().word());
      json.writeStringField("definition", hit.definition().text());
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeStringField("device", answer.device());
    // Microseconds: the clock is finer than the search is repeatable.
    json.writeNumberField("millis", Math.round(answer.millis() * 1e3) / 1e3);
    writeLists(answer);
    json.writeEndObject();
    json.flush();
  }

  private void writeLists(Answer answer) throws IOException {
    if (answer.lists().isEmpty()) {
      for (String field : List.of("listsScanned", "recallEstimate", "recall")) {
        json.writeNullField(field);
      }
      return;
    }
    Answer.Lists lists = answer.lists().get();
    json.writeNumberField("listsScanned", lists.scanned());
    // Thousandths: the estimate errs by more, and so does the recall of few neighbours.
    json.writeNumberField("recallEstimate", Math.round(lists.recallEstimate() * 1e3) / 1e3);
    json.writeNumberField("recall", Math.round(lists.recall() * 1e3) / 1e3);
  }

  @Override
  public void close() throws IOException {
    json.writeEndArray();
    json.writeRaw(System.lineSeparator());
    json.close();
  }
}
