// What the page says, in two languages.

const WORDS = {
  en: {
    language: "中文", prompt: "What to make", source: "From this text", label: "Kind", any: "any", all: "each in turn",
    count: "How many", steps: "Steps", guidance: "Guidance", seed: "Seed", dice: "Another seed", make: "Make", stop: "Stop",
    compareGuidance: "Guidance side by side", compareStrength: "Strength side by side",
    empty: "What is made appears here.", journey: "From noise to data", play: "Play", pause: "Pause",
    editing: "Edit a picture", editingHint: "Open a picture, or click one above. Paint over what is to be made new.",
    open: "Open a picture", brush: "Brush", clear: "Clear", fill: "Fill in",
    completing: "Go on from a file", completingHint: "A table, film or text of the kind that the model was trained on.",
    openFile: "Open a file", more: "Add", continue: "Continue", key: "The server asks for a key", enter: "Enter",
    waiting: "waiting", step: "step {0} of {1}", took: "{0} s, seed {1}", download: "Download", edit: "Edit",
    about: "{0}, {1}; {2} at once", lost: "The server cannot be reached. Is it still running?", stopped: "Stopped.",
    strength: "strength {0}", weight: "guidance {0}", sample: "sample {0}",
    image: "pictures", video: "films", sound: "sounds", series: "series", text: "texts", joint: "several kinds together",
    scan: "scans",
  },
  zh: {
    language: "English", prompt: "想要什么", source: "原文", label: "类别", any: "任意", all: "依次每类",
    count: "数量", steps: "步数", guidance: "引导强度", seed: "种子", dice: "换一个种子", make: "生成", stop: "停止",
    compareGuidance: "并排比较引导强度", compareStrength: "并排比较改动强度",
    empty: "生成的内容显示在这里。", journey: "从噪声到数据", play: "播放", pause: "暂停",
    editing: "修改图片", editingHint: "打开一张图片，或点击上面的图片，涂抹要重新生成的部分。",
    open: "打开图片", brush: "画笔", clear: "清除", fill: "填充",
    completing: "从文件继续", completingHint: "与训练数据同类的表格、影片或文本。",
    openFile: "打开文件", more: "增加", continue: "继续", key: "服务器需要密钥", enter: "确定",
    waiting: "等待中", step: "第 {0} / {1} 步", took: "{0} 秒，种子 {1}", download: "下载", edit: "修改",
    about: "{0}，{1}；每批 {2} 个", lost: "无法连接服务器，它还在运行吗？", stopped: "已停止。",
    strength: "强度 {0}", weight: "引导 {0}", sample: "样本 {0}",
    image: "图片", video: "影片", sound: "声音", series: "时间序列", text: "文本", joint: "多种数据", scan: "医学影像",
  },
};

let language = navigator.language.startsWith("zh") ? "zh" : "en";

export function say(word, ...values) {
  return (WORDS[language][word] ?? word).replace(/\{(\d)\}/g, (_, place) => values[place]);
}

export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  const button = document.getElementById("language");
  button.textContent = say("language");
  button.lang = language === "en" ? "zh" : "en";
}

export function other() {
  language = language === "en" ? "zh" : "en";
  translate();
}
