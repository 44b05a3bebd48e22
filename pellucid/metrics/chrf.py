"""How alike two texts are, by the runs of letters that they share. Popović 2015, "chrF", with β = 2 as in Popović 2016."""

from collections import Counter

ORDER, BETA = 6, 2.0


def chrf(hypothesis: str, reference: str, beta: float = BETA) -> float:
    """F_β of precision and recall of runs of 1 to ORDER letters, spaces left out, each averaged over the lengths of which
    both texts have any; 0 to 100. As sacrebleu has it for a sentence.
    """
    hypothesis, reference = ("".join(text.split()) for text in (hypothesis, reference))
    precisions, recalls = list[float](), list[float]()
    for length in range(1, ORDER + 1):
        ours, theirs = _runs(hypothesis, length), _runs(reference, length)
        if not ours or not theirs:
            continue
        shared = sum((ours & theirs).values())
        precisions.append(shared / ours.total())
        recalls.append(shared / theirs.total())
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    below = beta**2 * precision + recall
    return 100 * (1 + beta**2) * precision * recall / below if below > 0 else 0.0


def _runs(text: str, length: int) -> Counter[str]:
    return Counter(text[start : start + length] for start in range(len(text) - length + 1))
